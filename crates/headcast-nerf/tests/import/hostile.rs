//! Bad checkpoints: each is refused with a sentence that names what is wrong; nothing runs, nothing is allocated
//! for sizes that the file does not hold.

use std::io::{Cursor, Read, Seek, SeekFrom};

use headcast_nerf::checkpoint::{Checkpoint, CheckpointError};

use crate::allocation::peak;
use crate::build::*;
use crate::containers::{load, open};

fn error(state: Vec<Tensor>) -> String {
    load(&torch_zip(&checkpoint(state, &[]))).unwrap_err().to_string()
}

#[test]
fn a_missing_tensor_is_named() {
    // Control: with nothing taken away it loads.
    assert!(load(&torch_zip(&checkpoint(er_state(true), &[]))).is_ok());
    let unused = |name: &str| name == "step_counter" || name.starts_with("unc_net");
    // Optional ones change the options instead, and then other shapes do not fit.
    let optional = |name: &str| name.starts_with("individual_codes") || name == "torso_net.net.0.weight";
    for tensor in er_state(true) {
        let mut state = er_state(true);
        state.retain(|t| t.name != tensor.name);
        let result = load(&torch_zip(&checkpoint(state, &[])));
        if unused(&tensor.name) {
            assert!(result.is_ok(), "{}", tensor.name);
        } else if !optional(&tensor.name) {
            match result {
                Err(CheckpointError::MissingTensor { tensor: missing, .. }) => {
                    assert_eq!(missing, tensor.name);
                }
                other => panic!("without {}: {other:?}", tensor.name),
            }
        }
    }
    let mut state = er_state(true);
    state.retain(|t| t.name != "individual_codes");
    assert!(error(state).contains("`color_net.net.0.weight` has shape [64, 84], expected [64, 80]"));
}

#[test]
fn wrong_shapes_say_what_was_expected() {
    let mut state = er_state(false);
    *find(&mut state, "sigma_net.net.1.weight") =
        Tensor::floats("sigma_net.net.1.weight", &[64, 63], &vec![0.0; 64 * 63]);
    assert_eq!(error(state), "tensor `sigma_net.net.1.weight` has shape [64, 63], expected [64, 64]");

    let mut state = er_state(false);
    *find(&mut state, "density_bitfield") = Tensor::new("density_bitfield", "ByteStorage", &[5], vec![0; 5]);
    assert!(error(state).contains("[C × 262144]"));

    let mut state = er_state(false);
    find(&mut state, "aabb_infer").bytes[12..16].copy_from_slice(&(-2f32).to_le_bytes());
    assert!(error(state).contains("`aabb_infer` is not usable: the box"));

    let mut state = er_state(false);
    find(&mut state, "encoder_yz.offsets").bytes[4] = 200;
    assert!(error(state).contains("`encoder_yz.offsets` is not usable"));

    let mut state = er_state(false);
    find(&mut state, "density_bitfield").class = "CharStorage";
    assert!(error(state).contains("holds i8 values, expected u8"));
}

#[test]
fn audio_rows_of_unknown_width_name_the_extractors() {
    let mut state = er_state(false);
    let name = "audio_net.encoder_conv.0.weight";
    *find(&mut state, name) = Tensor::floats(name, &[32, 80, 3], &vec![0.0; 32 * 80 * 3]);
    let error = error(state);
    for words in ["80 values", "DeepSpeech", "esperanto", "HuBERT"] {
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn weights_that_are_not_finite_are_named() {
    for (name, value) in [
        ("color_net.net.1.weight", f32::NAN),
        ("torso_encoder.embeddings", f32::INFINITY),
        ("aabb_infer", f32::NAN),
    ] {
        let mut state = er_state(true);
        find(&mut state, name).bytes[8..12].copy_from_slice(&value.to_le_bytes());
        match load(&torch_zip(&checkpoint(state, &[]))) {
            Err(CheckpointError::NotFinite { tensor, index: 2, .. }) => assert_eq!(tensor, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    // Rows of the individual codes that inference never reads may be anything.
    let mut state = er_state(false);
    find(&mut state, "individual_codes").bytes[16..20].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(load(&torch_zip(&checkpoint(state, &[]))).is_ok());
}

#[test]
fn python_objects_are_never_executed() {
    let marker = std::env::temp_dir().join("headcast-hostile-pickle-ran");
    let _ = std::fs::remove_file(&marker);
    let command = text(&format!("touch {}", marker.display()));
    let system = Py::Call("posix", "system", vec![command.clone()]);

    // Beside the model: passed over, and reported.
    let file = torch_zip(&checkpoint(er_state(false), &[("hook", system.clone())]));
    assert!(load(&file).is_ok());
    assert_eq!(open(&file).unwrap().skipped(), ["posix.system"]);

    // As a weight, as the model, as the file: refused by name.
    let nested =
        Py::Dict(vec![(text("model"), Py::Dict(vec![(text("encoder_xy.offsets"), system.clone())]))]);
    let eval = Py::Call("builtins", "eval", vec![command]);
    for (top, name) in [
        (nested, "posix.system"),
        (Py::Dict(vec![(text("model"), eval.clone())]), "builtins.eval"),
        (system, "posix.system"),
    ] {
        for file in [torch_zip(&top), torch_legacy(&top)] {
            let error = load(&file).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
    assert!(!marker.exists(), "the pickle ran");
}

#[test]
fn declared_sizes_are_compared_with_the_file_before_anything_is_allocated() {
    let giant = 1u64 << 30;
    let change = |f: &dyn Fn(&mut Tensor)| {
        let mut state = er_state(false);
        f(find(&mut state, "sigma_net.net.0.weight"));
        let zip = load(&torch_zip(&checkpoint(state.clone(), &[]))).unwrap_err().to_string();
        let legacy = load(&torch_legacy(&checkpoint(state, &[]))).unwrap_err().to_string();
        (zip, legacy)
    };
    // 4 GB declared by shape and storage alike; by the shape alone; by repetition; by an offset.
    let (zip, legacy) = change(&|t| (t.shape, t.strides, t.count) = (vec![giant], vec![1], giant));
    assert!(zip.contains("declares 4294967296 bytes, but the file holds 17664"), "{zip}");
    assert!(legacy.contains("declares 1073741824 elements"), "{legacy}");
    for lie in [
        |t: &mut Tensor| t.shape[0] = 1 << 40,
        |t: &mut Tensor| (t.shape, t.strides) = (vec![1 << 40], vec![0]),
        |t: &mut Tensor| t.offset = 1,
        |t: &mut Tensor| t.offset = u64::MAX / 2,
        |t: &mut Tensor| t.strides = vec![u64::MAX / 2; 2],
    ] {
        let (zip, legacy) = change(&lie);
        for error in [zip, legacy] {
            assert!(error.contains("`sigma_net.net.0.weight` declares"), "{error}");
        }
    }
}

#[test]
fn broken_zips_are_refused() {
    let top = checkpoint(er_state(false), &[]);
    let good = torch_zip(&top);
    for len in [4, 100, good.len() / 2, good.len() - 1] {
        let error = load(&good[..len]).unwrap_err().to_string();
        assert!(error.contains("damaged or incomplete"), "{len}: {error}");
    }
    let refused = |file: &[u8]| load(file).unwrap_err().to_string();
    let deflated = zip(&members(&top), ZipOptions { method: 8, ..Default::default() });
    assert!(refused(&deflated).contains("`ngp/data.pkl` in the checkpoint's zip container is compressed"));
    // A bomb: stored, but declares to grow to 4 GB.
    let bomb = zip(&members(&top), ZipOptions { declared: Some(u32::MAX - 1), ..Default::default() });
    assert!(refused(&bomb).contains("compressed or encrypted"));
    let two = [members(&top), members(&top)].concat();
    assert!(refused(&zip(&two, ZipOptions::default())).contains("two members"));
    let other = [("word/document.xml".to_owned(), vec![1, 2, 3])];
    assert!(refused(&zip(&other, ZipOptions::default())).contains("no `data.pkl`"));
    let lost: Vec<_> =
        members(&top).into_iter().filter(|(n, _)| !n.ends_with("encoder_xz.offsets")).collect();
    assert!(
        refused(&zip(&lost, ZipOptions::default()))
            .contains("the values of tensor `encoder_xz.offsets` are missing")
    );
    let alike = [members(&top), vec![("ngp/extra/my_data.pkl".to_owned(), vec![0])]].concat();
    assert!(load(&zip(&alike, ZipOptions::default())).is_ok());
    // Big-endian files exist in principle.
    let big = [members(&top), vec![("ngp/byteorder".to_owned(), b"big".to_vec())]].concat();
    assert!(refused(&zip(&big, ZipOptions::default())).contains("big-endian"));
}

#[test]
fn other_files_are_told_apart() {
    for (bytes, words) in [
        (&b""[..], "it is empty"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "RIFF"),
        (b"\x93NUMPY\x01\0", "neither a PyTorch checkpoint"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff{}", "safetensors header"),
        (b"\x40\0\0\0\0\0\0\0{\"a\":", "safetensors header"),
        (b"\x02\0\0\0\0\0\0\0{}", "not those of an ER-NeRF head"),
    ] {
        let error = load(bytes).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn recursive_and_overgrown_pickles_end_in_an_error_or_a_value() {
    let file = |opcodes: &[u8]| {
        let pickle = [b"\x80\x02", opcodes, b"."].concat();
        zip(&[("a/data.pkl".to_owned(), pickle)], ZipOptions::default())
    };
    let refused = |opcodes: &[u8], words: &str| {
        let error = load(&file(opcodes)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    // d = {}; d['model'] = d
    refused(b"}q\0X\x05\0\0\0modelh\0s", "no talking-head model");
    // a list that holds itself as the model
    refused(b"}X\x05\0\0\0model]q\0h\0as", "`model` which is a list");
    refused(b"]r\xff\xff\xff\xff", "memo slot 4294967295");
    refused(&b"(".repeat(100_000), "nested deeper than 256");
    // Ten million values.
    refused(&b"N".repeat(10_000_000), "more than 1048576 values");
    // A million tuples around each other: built and dropped without recursion.
    refused(&[&b")"[..], &b"\x85".repeat(1_000_000)].concat(), "a tuple");
    refused(b"cos\nsystem\n(X\x02\0\0\0lstR0", "at byte 23: opcode 0x30");
    refused(b"X\xff\xff\xff\x7f", "declares 2147483647 bytes");
    refused(b"\x8c\x05model", "opcode 0x8c");
}

/// A memo recalls a text in two bytes: whatever an opcode makes of it must not be another copy.
#[test]
fn recalled_values_are_not_copied() {
    let put = |value: &[u8], slot: u8| [value, &[b'q', slot]].concat();
    let string =
        |text: &str| [&b"X"[..], &u32::try_from(text.len()).unwrap().to_le_bytes(), text.as_bytes()].concat();
    // ('storage', torch.FloatStorage, key, 'cpu', 4) with a key of `len` bytes, in slot 0
    let storage = |len: usize| {
        let class = b"ctorch\nFloatStorage\n".to_vec();
        let items = [string("storage"), class, string(&"k".repeat(len)), string("cpu"), b"K\x04".to_vec()];
        put(&[&b"("[..], &items.concat(), b"t"].concat(), 0)
    };
    // _rebuild_tensor_v2 in slot 1 and its arguments, a view of eight dimensions, in slot 2
    let sizes = [&b"("[..], &b"K\x01".repeat(8), b"t"].concat();
    let arguments = [&b"(h\0QK\0"[..], &sizes, &sizes, b"t"].concat();
    let tensor = [
        storage(256),
        put(b"ctorch._utils\n_rebuild_tensor_v2\n", 1),
        put(&arguments, 2),
        put(b"ctorch._utils\n_rebuild_parameter\n", 3),
        put(b"h\x01h\x02R\x85", 4),
    ]
    .concat();
    let names = format!("c{}\n{}\n", "m".repeat(256), "n".repeat(256)).into_bytes();
    let unknown = [put(&names, 0), put(b")", 1)].concat();
    let long = put(&string(&"n".repeat(64 << 10)), 0);
    let name = put(&string(&"n".repeat(256)), 0);

    let times = 300_000;
    let repeat = |once: &[u8]| once.repeat(times);
    let model = |entries: Vec<u8>| [&b"}X\x05\0\0\0model}("[..], &entries, b"us"].concat();
    let cases: [(&str, Vec<u8>, &str); 12] = [
        // The file of under a megabyte that once took more than six gigabytes.
        ("storages with a long key", [storage(64 << 10), repeat(b"h\0Q")].concat(), "key of 65536 bytes"),
        ("storages", [storage(256), repeat(b"h\0Q")].concat(), "a bare storage"),
        ("tensors", [&tensor[..], &repeat(b"h\x01h\x02R")].concat(), "a tensor"),
        ("parameters", [&tensor[..], &repeat(b"h\x03h\x04R")].concat(), "a tensor"),
        ("unknown calls", [&unknown[..], &repeat(b"h\0h\x01R")].concat(), "an object made by `mmm"),
        ("calls of calls", [&unknown[..], b"h\0h\x01R", &repeat(b"h\x01R")].concat(), "an object made by"),
        ("texts", [&long[..], &repeat(b"h\0")].concat(), "a text"),
        ("a list", [&long[..], b"](", &repeat(b"h\0"), b"e"].concat(), "a list"),
        ("tuples", [&long[..], b"(", &repeat(b"h\0"), b"t", &repeat(b"\x85")].concat(), "a tuple"),
        ("a dictionary of long names", [&long[..], b"}(", &repeat(b"h\0N"), b"u"].concat(), "of 65536 bytes"),
        ("a dictionary", [&name[..], b"}(", &repeat(b"h\0K\x01"), b"u"].concat(), "(an integer)"),
        (
            "a model",
            [&name[..], &put(b"cos\nsystem\n", 1), &model([&b"h\0h\x01)R"[..]].concat().repeat(times))]
                .concat(),
            "made by `os.system`",
        ),
    ];
    for (what, opcodes, words) in cases {
        let pickle = [b"\x80\x02", &opcodes[..], b"."].concat();
        let len = pickle.len();
        let file = zip(&[("a/data.pkl".to_owned(), pickle)], ZipOptions::default());
        let (result, bytes) = peak(|| open(&file));
        let error = result.unwrap_err().to_string();
        println!("{what}: a pickle of {len} bytes, {bytes} held, {:.1} times", bytes as f64 / len as f64);
        assert!(error.contains(words) && error.len() < 2000, "{what}: {error}");
        assert!(bytes < 64 * len + (1 << 20), "{what}: {len} bytes of pickle took {bytes}");
    }
}

#[test]
fn dictionaries_have_a_largest_size() {
    let names = |count: usize| {
        let pairs =
            (0..count).flat_map(|i| [&b"X\x05\0\0\0"[..], format!("{i:05}").as_bytes(), b"N"].concat());
        let pickle = [&b"\x80\x02}("[..], &pairs.collect::<Vec<_>>(), b"u."].concat();
        open(&zip(&[("a/data.pkl".to_owned(), pickle)], ZipOptions::default())).unwrap_err().to_string()
    };
    assert!(names(65_536).contains("no talking-head model"));
    assert!(names(65_537).contains("more than 65536 entries"));
}

#[test]
fn the_last_of_repeated_names_counts() {
    let mut state = er_state(false);
    let twice = Tensor::floats("twice", &[1], &[1.0]);
    state.push(twice.clone());
    state.push(Tensor { key: "second".to_owned(), bytes: 2f32.to_le_bytes().to_vec(), ..twice });
    let file = torch_zip(&checkpoint(state, &[]));
    let mut checkpoint = open(&file).unwrap();
    assert_eq!(checkpoint.tensors().filter(|t| t.name == "twice").count(), 1);
    assert_eq!(checkpoint.read("twice").unwrap().to_f32(), [2.0]);
}

/// The float density grid is 8 MB of a file that needs 3.
#[test]
fn tensors_that_are_not_needed_are_never_read() {
    struct Guarded {
        inner: Cursor<Vec<u8>>,
        forbidden: std::ops::Range<u64>,
    }
    impl Read for Guarded {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let at = self.inner.position();
            let touched = at..at + buffer.len() as u64;
            assert!(
                touched.end <= self.forbidden.start || touched.start >= self.forbidden.end,
                "read {touched:?}"
            );
            self.inner.read(buffer)
        }
    }
    impl Seek for Guarded {
        fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
            self.inner.seek(to)
        }
    }
    let mut state = er_state(false);
    let needle = vec![0xab; 1 << 20];
    state.insert(0, Tensor::new("density_grid", "FloatStorage", &[1, 1 << 18], needle.clone()));
    let file = torch_zip(&checkpoint(state, &[]));
    let at = file.windows(64).position(|w| w == &needle[..64]).unwrap() as u64;
    let reader = |range| Guarded { inner: Cursor::new(file.clone()), forbidden: range };
    let mut opened = Checkpoint::open(reader(at..at + (1 << 20))).unwrap();
    assert!(headcast_nerf::model::ErNerf::from_checkpoint(&mut opened).is_ok());
    // Control: the guard notices a read.
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| opened.read("density_grid")));
    assert!(caught.is_err());
}
