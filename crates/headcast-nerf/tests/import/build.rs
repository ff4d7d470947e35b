//! Writes the files that the tests read: a tiny pickle writer, both PyTorch containers, a small ER-NeRF.

/// A Python value.
#[derive(Debug, Clone)]
pub(crate) enum Py {
    None,
    Int(i32),
    Float(f64),
    Str(String),
    List(Vec<Self>),
    Tuple(Vec<Self>),
    Dict(Vec<(Self, Self)>),
    /// `collections.OrderedDict`, with the `_metadata` attribute of a state dict.
    State(Vec<Tensor>),
    /// `module.name(*args)`.
    Call(&'static str, &'static str, Vec<Self>),
    /// Opcodes as they are.
    Raw(Vec<u8>),
}

pub(crate) fn text(value: &str) -> Py {
    Py::Str(value.to_owned())
}

/// A tensor, with everything that a file can lie about.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    /// `torch.<class>`.
    pub(crate) class: &'static str,
    pub(crate) shape: Vec<u64>,
    pub(crate) strides: Vec<u64>,
    pub(crate) offset: u64,
    /// Elements that the storage declares.
    pub(crate) count: u64,
    /// Storage; tensors of one key share the first one's bytes.
    pub(crate) key: String,
    pub(crate) bytes: Vec<u8>,
}

impl Tensor {
    pub(crate) fn new(name: &str, class: &'static str, shape: &[u64], bytes: Vec<u8>) -> Self {
        let mut strides = vec![1; shape.len()];
        for i in (1..shape.len()).rev() {
            strides[i - 1] = strides[i] * shape[i];
        }
        Self {
            name: name.to_owned(),
            class,
            shape: shape.to_vec(),
            strides,
            offset: 0,
            count: shape.iter().product(),
            key: name.to_owned(),
            bytes,
        }
    }

    pub(crate) fn floats(name: &str, shape: &[u64], values: &[f32]) -> Self {
        Self::new(name, "FloatStorage", shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }
}

/// Protocol 2, without memo.
pub(crate) fn pickle(value: &Py, legacy: bool) -> Vec<u8> {
    let mut out = vec![0x80, 2];
    write(&mut out, value, legacy);
    out.push(b'.');
    out
}

fn write(out: &mut Vec<u8>, value: &Py, legacy: bool) {
    match value {
        Py::None => out.push(b'N'),
        Py::Int(v) => {
            out.push(b'J');
            out.extend(v.to_le_bytes());
        }
        Py::Float(v) => {
            out.push(b'G');
            out.extend(v.to_be_bytes());
        }
        Py::Str(v) => {
            out.push(b'X');
            out.extend(u32::try_from(v.len()).unwrap().to_le_bytes());
            out.extend(v.as_bytes());
        }
        Py::List(items) => {
            out.extend(b"](");
            items.iter().for_each(|item| write(out, item, legacy));
            out.push(b'e');
        }
        Py::Tuple(items) => {
            out.push(b'(');
            items.iter().for_each(|item| write(out, item, legacy));
            out.push(b't');
        }
        Py::Dict(pairs) => {
            out.extend(b"}(");
            for (key, value) in pairs {
                write(out, key, legacy);
                write(out, value, legacy);
            }
            out.push(b'u');
        }
        Py::State(tensors) => {
            out.extend(b"ccollections\nOrderedDict\n)R(");
            for tensor in tensors {
                write(out, &text(&tensor.name), legacy);
                write_tensor(out, tensor, legacy);
            }
            out.push(b'u');
            write(out, &Py::Dict(vec![(text("_metadata"), Py::Dict(vec![]))]), legacy);
            out.push(b'b');
        }
        Py::Call(module, name, args) => {
            out.extend(format!("c{module}\n{name}\n").as_bytes());
            write(out, &Py::Tuple(args.clone()), legacy);
            out.push(b'R');
        }
        Py::Raw(opcodes) => out.extend(opcodes),
    }
}

fn write_tensor(out: &mut Vec<u8>, tensor: &Tensor, legacy: bool) {
    // LONG1 of eight bytes.
    let long = |v: u64| [&[0x8a, 8][..], &i64::try_from(v).unwrap().to_le_bytes()].concat();
    let sizes = |values: &[u64]| Py::Tuple(values.iter().map(|v| Py::Raw(long(*v))).collect());
    out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    write(out, &text("storage"), legacy);
    out.extend(format!("ctorch\n{}\n", tensor.class).as_bytes());
    write(out, &text(&tensor.key), legacy);
    write(out, &text("cuda:0"), legacy);
    out.extend(long(tensor.count));
    if legacy {
        out.push(b'N');
    }
    out.extend(b"tQ");
    out.extend(long(tensor.offset));
    write(out, &sizes(&tensor.shape), legacy);
    write(out, &sizes(&tensor.strides), legacy);
    out.push(0x89);
    out.extend(b"ccollections\nOrderedDict\n)RtR");
}

/// How members are described.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ZipOptions {
    pub(crate) method: u16,
    pub(crate) zip64: bool,
    /// Uncompressed size that every member declares instead of its own.
    pub(crate) declared: Option<u32>,
}

pub(crate) fn zip(members: &[(String, Vec<u8>)], options: ZipOptions) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in members {
        let at = u32::try_from(out.len()).unwrap();
        let len = u32::try_from(bytes.len()).unwrap();
        let plain = options.declared.unwrap_or(len);
        let name_len = u16::try_from(name.len()).unwrap();
        // version, flags, method, time, date, crc (left out), sizes, name, padding that only this header has
        let mut fixed = Vec::new();
        for v in [20, 0, options.method, 0, 0, 0, 0] {
            fixed.extend(u16::to_le_bytes(v));
        }
        out.extend(b"PK\x03\x04");
        out.extend(&fixed);
        out.extend(len.to_le_bytes());
        out.extend(plain.to_le_bytes());
        out.extend(name_len.to_le_bytes());
        out.extend(7u16.to_le_bytes());
        out.extend(name.as_bytes());
        out.extend(b"FB\x03\x00ZZZ");
        out.extend(bytes);

        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&fixed);
        let (small, extra) = if options.zip64 {
            let wide = [u64::from(plain), u64::from(len), u64::from(at)].map(u64::to_le_bytes).concat();
            ([u32::MAX; 3], [&[1, 0, 24, 0][..], &wide].concat())
        } else {
            ([len, plain, at], Vec::new())
        };
        directory.extend(small[0].to_le_bytes());
        directory.extend(small[1].to_le_bytes());
        directory.extend(name_len.to_le_bytes());
        directory.extend(u16::try_from(extra.len()).unwrap().to_le_bytes());
        directory.extend([0; 10]);
        directory.extend(small[2].to_le_bytes());
        directory.extend(name.as_bytes());
        directory.extend(extra);
    }
    let (at, len) = (out.len() as u64, directory.len() as u64);
    let count = members.len() as u64;
    out.extend(directory);
    if options.zip64 {
        let end = out.len() as u64;
        out.extend(b"PK\x06\x06");
        out.extend(44u64.to_le_bytes());
        out.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for v in [count, count, len, at] {
            out.extend(v.to_le_bytes());
        }
        out.extend(b"PK\x06\x07\0\0\0\0");
        out.extend(end.to_le_bytes());
        out.extend(1u32.to_le_bytes());
    }
    let (at, len, count) =
        if options.zip64 { (u32::MAX.into(), u32::MAX.into(), u16::MAX.into()) } else { (at, len, count) };
    let narrow = |v: u64| u32::try_from(v).unwrap().to_le_bytes();
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(&narrow(count)[..2]);
    out.extend(&narrow(count)[..2]);
    out.extend(narrow(len));
    out.extend(narrow(at));
    out.extend([0, 0]);
    out
}

/// Members of a `torch.save` zip of `top`; storages of every tensor in it.
pub(crate) fn members(top: &Py) -> Vec<(String, Vec<u8>)> {
    let mut members = vec![("ngp/data.pkl".to_owned(), pickle(top, false))];
    for tensor in tensors(top) {
        let name = format!("ngp/data/{}", tensor.key);
        if !members.iter().any(|(n, _)| *n == name) {
            members.push((name, tensor.bytes.clone()));
        }
    }
    members.push(("ngp/version".to_owned(), b"3\n".to_vec()));
    members
}

pub(crate) fn torch_zip(top: &Py) -> Vec<u8> {
    zip(&members(top), ZipOptions::default())
}

pub(crate) fn torch_legacy(top: &Py) -> Vec<u8> {
    let mut out = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    out.extend(pickle(&Py::Int(1001), true));
    let system = [("protocol_version", Py::Int(1001)), ("little_endian", Py::Raw(vec![0x88]))];
    out.extend(pickle(&Py::Dict(system.map(|(k, v)| (text(k), v)).to_vec()), true));
    out.extend(pickle(top, true));
    let mut stored: Vec<&Tensor> = Vec::new();
    for tensor in tensors(top) {
        if !stored.iter().any(|s| s.key == tensor.key) {
            stored.push(tensor);
        }
    }
    out.extend(pickle(&Py::List(stored.iter().map(|t| text(&t.key)).collect()), true));
    for tensor in stored {
        out.extend(tensor.count.to_le_bytes());
        out.extend(&tensor.bytes);
    }
    out
}

fn tensors(value: &Py) -> Vec<&Tensor> {
    match value {
        Py::State(tensors) => tensors.iter().collect(),
        Py::List(items) | Py::Tuple(items) => items.iter().flat_map(tensors).collect(),
        Py::Dict(pairs) => pairs.iter().flat_map(|(_, v)| tensors(v)).collect(),
        _ => vec![],
    }
}

/// `{'epoch': 34, 'mean_density_torso': 0.25, 'model': state, ...more}`.
pub(crate) fn checkpoint(state: Vec<Tensor>, more: &[(&str, Py)]) -> Py {
    let mut pairs = vec![
        (text("epoch"), Py::Int(34)),
        (text("stats"), Py::Dict(vec![(text("loss"), Py::List(vec![Py::Float(0.5), Py::None]))])),
        (text("mean_density_torso"), Py::Float(0.25)),
        (text("model"), Py::State(state)),
    ];
    pairs.extend(more.iter().map(|(k, v)| (text(k), v.clone())));
    Py::Dict(pairs)
}

/// The state dict of a small ER-NeRF: real layer sizes, tiny tables.
pub(crate) fn er_state(torso: bool) -> Vec<Tensor> {
    let mut seed = 0u64;
    let mut noise = |n: u64| -> Vec<f32> {
        (0..n)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 40) as f32 / (1u64 << 24) as f32 - 0.5
            })
            .collect()
    };
    let mut state = vec![
        Tensor::floats("aabb_infer", &[6], &[-1.0, -0.5, -1.0, 1.0, 0.5, 1.0]),
        Tensor::new(
            "density_bitfield",
            "ByteStorage",
            &[262_144],
            (0..262_144).map(|i| u8::from(i % 7 == 0)).collect(),
        ),
        Tensor::new("step_counter", "IntStorage", &[16, 2], vec![0; 128]),
    ];
    let mut add = |name: &str, shape: &[u64]| {
        let values = noise(shape.iter().product());
        state.push(Tensor::floats(name, shape, &values));
    };
    add("individual_codes", &[10, 4]);
    for (i, shape) in [(0, [32, 29, 3]), (2, [32, 32, 3]), (4, [64, 32, 3]), (6, [64, 64, 3])] {
        add(&format!("audio_net.encoder_conv.{i}.weight"), &shape);
        add(&format!("audio_net.encoder_conv.{i}.bias"), &shape[..1]);
    }
    for (i, shape) in [(0, [64, 64]), (2, [32, 64])] {
        add(&format!("audio_net.encoder_fc1.{i}.weight"), &shape);
        add(&format!("audio_net.encoder_fc1.{i}.bias"), &shape[..1]);
    }
    for (i, shape) in [(0, [16, 32, 3]), (2, [8, 16, 3]), (4, [4, 8, 3]), (6, [2, 4, 3]), (8, [1, 2, 3])] {
        add(&format!("audio_att_net.attentionConvNet.{i}.weight"), &shape);
        add(&format!("audio_att_net.attentionConvNet.{i}.bias"), &shape[..1]);
    }
    add("audio_att_net.attentionNet.0.weight", &[8, 8]);
    add("audio_att_net.attentionNet.0.bias", &[8]);
    let mut mlp = |name: &str, widths: &[u64]| {
        for (i, w) in widths.windows(2).enumerate() {
            add(&format!("{name}.net.{i}.weight"), &[w[1], w[0]]);
        }
    };
    mlp("eye_att_net", &[36, 16, 1]);
    mlp("sigma_net", &[69, 64, 64, 65]);
    mlp("color_net", &[84, 64, 3]);
    mlp("unc_net", &[36, 32, 1]);
    mlp("aud_ch_att_net", &[36, 64, 32]);
    if torso {
        mlp("torso_deform_net", &[84, 32, 32, 2]);
        mlp("torso_net", &[116, 32, 32, 4]);
        add("anchor_points", &[3, 4]);
        add("individual_codes_torso", &[10, 8]);
        add("density_grid_torso", &[16_384]);
        add("torso_encoder.embeddings", &[128, 2]);
    }
    let planes = ["encoder_xy", "encoder_yz", "encoder_xz"];
    for plane in planes {
        add(&format!("{plane}.embeddings"), &[96, 1]);
    }
    for plane in planes {
        state.push(offsets(plane, 12));
    }
    if torso {
        state.push(offsets("torso_encoder", 16));
    }
    state
}

fn offsets(table: &str, levels: u8) -> Tensor {
    let offsets = (0..=levels).flat_map(|l| (i32::from(l) * 8).to_le_bytes()).collect();
    Tensor::new(&format!("{table}.offsets"), "IntStorage", &[u64::from(levels) + 1], offsets)
}

/// The tensor called `name`.
pub(crate) fn find<'a>(state: &'a mut [Tensor], name: &str) -> &'a mut Tensor {
    state.iter_mut().find(|t| t.name == name).unwrap()
}
