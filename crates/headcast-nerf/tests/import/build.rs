//! Writes the files that the tests read: a tiny pickle writer, both PyTorch containers, a small network of each family.

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

/// Makes tensors of noise.
struct StateMaker {
    seed: u64,
    state: Vec<Tensor>,
}

impl StateMaker {
    fn new() -> Self {
        Self { seed: 0, state: Vec::new() }
    }

    fn add(&mut self, name: &str, shape: &[u64]) {
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| {
                self.seed =
                    self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (self.seed >> 40) as f32 / (1u64 << 24) as f32 - 0.5
            })
            .collect();
        self.state.push(Tensor::floats(name, shape, &values));
    }

    fn with_bias(&mut self, name: &str, shape: &[u64]) {
        self.add(&format!("{name}.weight"), shape);
        self.add(&format!("{name}.bias"), &shape[..1]);
    }

    fn mlp(&mut self, name: &str, widths: &[u64]) {
        for (i, w) in widths.windows(2).enumerate() {
            self.add(&format!("{name}.net.{i}.weight"), &[w[1], w[0]]);
        }
    }

    fn audio_net(&mut self, name: &str, dims: u64, code: u64) {
        for (i, shape) in [(0, [32, dims, 3]), (2, [32, 32, 3]), (4, [64, 32, 3]), (6, [64, 64, 3])] {
            self.with_bias(&format!("{name}.encoder_conv.{i}"), &shape);
        }
        for (i, shape) in [(0, [64, 64]), (2, [code, 64])] {
            self.with_bias(&format!("{name}.encoder_fc1.{i}"), &shape);
        }
    }

    fn audio_attention(&mut self, name: &str, code: u64) {
        for (i, shape) in
            [(0, [16, code, 3]), (2, [8, 16, 3]), (4, [4, 8, 3]), (6, [2, 4, 3]), (8, [1, 2, 3])]
        {
            self.with_bias(&format!("{name}.attentionConvNet.{i}"), &shape);
        }
        self.with_bias(&format!("{name}.attentionNet.0"), &[8, 8]);
    }

    /// What both families with an occupancy grid begin with.
    fn scene(&mut self, dims: u64, code: u64) {
        self.state = vec![
            Tensor::floats("aabb_infer", &[6], &[-1.0, -0.5, -1.0, 1.0, 0.5, 1.0]),
            Tensor::new(
                "density_bitfield",
                "ByteStorage",
                &[262_144],
                (0..262_144).map(|i| u8::from(i % 7 == 0)).collect(),
            ),
            Tensor::new("step_counter", "IntStorage", &[16, 2], vec![0; 128]),
        ];
        self.add("individual_codes", &[10, 4]);
        self.audio_net("audio_net", dims, code);
        self.audio_attention("audio_att_net", code);
    }

    fn table(&mut self, name: &str, sizes: &[u32], channels: u64) {
        let ends = sizes.iter().scan(0, |end, size| {
            *end += size;
            Some(*end)
        });
        let offsets: Vec<u32> = std::iter::once(0).chain(ends).collect();
        let entries = u64::from(offsets[sizes.len()]);
        self.add(&format!("{name}.embeddings"), &[entries, channels]);
        let bytes = offsets.iter().flat_map(|n| n.to_le_bytes()).collect();
        let count = offsets.len() as u64;
        self.state.push(Tensor::new(&format!("{name}.offsets"), "IntStorage", &[count], bytes));
    }
}

/// Entries of each level of the tables: of ER-NeRF's planes, of 2-D tiled ones, of RAD-NeRF's 3-D one.
#[derive(Clone, Copy)]
pub(crate) struct TableSizes {
    planes: [u32; 12],
    flat: [u32; 16],
    space: [u32; 16],
}

/// As small as they can be.
pub(crate) const TINY: TableSizes = TableSizes { planes: [8; 12], flat: [8; 16], space: [8; 16] };

/// Upstream's defaults.
pub(crate) const DEFAULT: TableSizes = TableSizes {
    planes: [4232, 6248, 9032, 13_000, 16_384, 16_384, 16_384, 16_384, 16_384, 16_384, 16_384, 16_384],
    flat: [
        296, 576, 1024, 1936, 3600, 6728, 12_776, 24_032, 45_800, 65_536, 65_536, 65_536, 65_536, 65_536,
        65_536, 65_536,
    ],
    space: [
        4920, 13_824, 32_768, 65_536, 65_536, 65_536, 65_536, 65_536, 65_536, 65_536, 65_536, 65_536, 65_536,
        65_536, 65_536, 65_536,
    ],
};

/// The state dict of a small ER-NeRF: real layer sizes, tiny tables.
pub(crate) fn er_state(torso: bool) -> Vec<Tensor> {
    er_state_of(torso, TINY)
}

pub(crate) fn er_state_of(torso: bool, sizes: TableSizes) -> Vec<Tensor> {
    let mut maker = StateMaker::new();
    maker.scene(29, 32);
    maker.mlp("eye_att_net", &[36, 16, 1]);
    maker.mlp("sigma_net", &[69, 64, 64, 65]);
    maker.mlp("color_net", &[84, 64, 3]);
    maker.mlp("unc_net", &[36, 32, 1]);
    maker.mlp("aud_ch_att_net", &[36, 64, 32]);
    if torso {
        maker.mlp("torso_deform_net", &[84, 32, 32, 2]);
        maker.mlp("torso_net", &[116, 32, 32, 4]);
        maker.add("anchor_points", &[3, 4]);
        maker.add("individual_codes_torso", &[10, 8]);
        maker.add("density_grid_torso", &[16_384]);
        maker.table("torso_encoder", &sizes.flat, 2);
    }
    for plane in ["encoder_xy", "encoder_yz", "encoder_xz"] {
        maker.table(plane, &sizes.planes, 1);
    }
    maker.state
}

/// The state dict of a small RAD-NeRF, likewise.
pub(crate) fn rad_state(torso: bool) -> Vec<Tensor> {
    rad_state_of(torso, TINY)
}

pub(crate) fn rad_state_of(torso: bool, sizes: TableSizes) -> Vec<Tensor> {
    let mut maker = StateMaker::new();
    maker.scene(44, 64);
    maker.mlp("ambient_net", &[96, 64, 64, 2]);
    maker.mlp("sigma_net", &[65, 64, 64, 65]);
    maker.mlp("color_net", &[84, 64, 3]);
    if torso {
        maker.mlp("torso_deform_net", &[104, 64, 64, 2]);
        maker.mlp("torso_net", &[136, 32, 32, 4]);
        maker.add("individual_codes_torso", &[10, 8]);
        maker.add("density_grid_torso", &[16_384]);
        maker.table("torso_encoder", &sizes.flat, 2);
    }
    maker.table("encoder", &sizes.space, 2);
    maker.table("encoder_ambient", &sizes.flat, 2);
    maker.state
}

/// The dictionaries of a small AD-NeRF head (`signal` 64) or body (106), by name.
pub(crate) fn ad_states(signal: u64) -> Vec<(&'static str, Vec<Tensor>)> {
    ad_states_of(signal, 16)
}

pub(crate) fn ad_states_of(signal: u64, width: u64) -> Vec<(&'static str, Vec<Tensor>)> {
    let mut states = Vec::new();
    for name in ["network_fn_state_dict", "network_fine_state_dict"] {
        let mut maker = StateMaker::new();
        for k in 0..8 {
            let inputs = match k {
                0 => 63 + signal,
                5 => 63 + signal + width,
                _ => width,
            };
            maker.with_bias(&format!("pts_linears.{k}"), &[width, inputs]);
        }
        for k in 0..3 {
            let inputs = if k == 0 { width + 27 } else { width / 2 };
            maker.with_bias(&format!("views_linears.{k}"), &[width / 2, inputs]);
        }
        maker.with_bias("feature_linear", &[width, width]);
        maker.with_bias("alpha_linear", &[1, width]);
        maker.with_bias("rgb_linear", &[3, width / 2]);
        states.push((name, maker.state));
    }
    let mut maker = StateMaker::new();
    maker.audio_net("", 29, 64);
    states.push(("network_audnet_state_dict", unprefixed(maker.state)));
    if signal == 64 {
        let mut maker = StateMaker::new();
        maker.audio_attention("", 32);
        states.push(("network_audattnet_state_dict", unprefixed(maker.state)));
    }
    states
}

/// Storages are shared by key, so the names of each dictionary stand for others' too: keys are made different.
pub(crate) fn ad_checkpoint(states: Vec<(&'static str, Vec<Tensor>)>) -> Py {
    let mut pairs = vec![(text("global_step"), Py::Int(300_000))];
    for (name, mut state) in states {
        state.iter_mut().for_each(|tensor| tensor.key = format!("{name}.{}", tensor.name));
        pairs.push((text(name), Py::State(state)));
    }
    Py::Dict(pairs)
}

fn unprefixed(mut state: Vec<Tensor>) -> Vec<Tensor> {
    for tensor in &mut state {
        tensor.name = tensor.name.trim_start_matches('.').to_owned();
    }
    state
}

/// The tensor called `name`.
pub(crate) fn find<'a>(state: &'a mut [Tensor], name: &str) -> &'a mut Tensor {
    state.iter_mut().find(|t| t.name == name).unwrap()
}
