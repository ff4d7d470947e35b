use super::*;
use crate::feature::Values;

fn npy(version: u8, dict: &str, values: &[u8]) -> Vec<u8> {
    let mut out = b"\x93NUMPY".to_vec();
    out.extend([version, 0]);
    let len = u16::try_from(dict.len()).unwrap();
    if version == 1 {
        out.extend(len.to_le_bytes());
    } else {
        out.extend(u32::from(len).to_le_bytes());
    }
    out.extend(dict.as_bytes());
    out.extend(values);
    out
}

fn dict(descr: &str, fortran: bool, shape: &str) -> String {
    let order = if fortran { "True" } else { "False" };
    format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}          \n")
}

fn le<const N: usize, T: Copy>(values: &[T], to: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&v| to(v)).collect()
}

/// The same array, read through [`Stored`] from its file.
fn stored(bytes: &[u8]) -> Result<Array<f32>, NpyError> {
    let file = Stored::open(std::io::Cursor::new(bytes.to_vec()))?;
    let mut data = vec![0.0; usize::try_from(file.count()).unwrap()];
    file.read(0, &mut data).unwrap();
    Ok(Array { shape: file.shape().to_vec(), data })
}

/// More than one block of it, read here and there.
#[test]
fn a_stored_array_is_the_same_array_in_either_order() {
    let values: Vec<u8> =
        (0..2_000_000u32).flat_map(|v| u16::try_from(v % 5003).unwrap().to_le_bytes()).collect();
    for fortran in [false, true] {
        let bytes = npy(1, &dict("<u2", fortran, "(5000, 4, 100)"), &values);
        let whole = Array::read_f32(&bytes).unwrap();
        let file = Stored::open(std::io::Cursor::new(bytes)).unwrap();
        assert_eq!((file.shape(), file.count()), (&whole.shape[..], 2_000_000));
        for (at, len) in [(0, 5), (1_999_000, 1000), (261_000, 3000), (0, 2_000_000), (399, 2)] {
            let mut out = vec![0.0; len];
            file.read(at as u64, &mut out).unwrap();
            assert!(out == whole.data[at..at + len], "{len} from {at}");
        }
        assert!(file.read(1_999_999, &mut [0.0; 2]).is_err());
    }
}

#[test]
fn float_types_orders_and_versions() {
    let expected = [1.0, -2.5, 0.0, 65504.0, 6.103_515_6e-5, -0.25];
    let f64s = expected.map(f64::from);
    let f16s = [0x3c00u16, 0xc100, 0x0000, 0x7bff, 0x0400, 0xb400];
    for version in 1..=3 {
        for (descr, values) in [
            ("<f4", le(&expected, f32::to_le_bytes)),
            (">f4", le(&expected, f32::to_be_bytes)),
            ("<f8", le(&f64s, f64::to_le_bytes)),
            (">f8", le(&f64s, f64::to_be_bytes)),
            ("<f2", le(&f16s, u16::to_le_bytes)),
            (">f2", le(&f16s, u16::to_be_bytes)),
        ] {
            let array = Array::read_f32(&npy(version, &dict(descr, false, "(2, 3)"), &values)).unwrap();
            assert_eq!(array.shape, [2, 3], "{descr}");
            assert_eq!(array.data, expected, "{descr}");
        }
    }
    // Control: the wrong byte order is another array.
    let swapped = npy(1, &dict(">f4", false, "(2, 3)"), &le(&expected, f32::to_le_bytes));
    assert_ne!(Array::read_f32(&swapped).unwrap().data, expected);
}

#[test]
fn half_floats_are_exact_at_the_edges() {
    for (bits, value) in
        [(0x0001, 2f32.powi(-24)), (0x8000, -0.0), (0x7c00, f32::INFINITY), (0xfc00, f32::NEG_INFINITY)]
    {
        assert_eq!(f16_to_f32(bits).to_bits(), value.to_bits());
    }
    assert!(f16_to_f32(0x7e00).is_nan());
}

#[test]
fn integers_are_exact_and_fortran_order_is_transposed() {
    // [[1, 2, 3], [4, 5, 6]] column by column.
    let columns = le(&[1i64, 4, 2, 5, 3, 6], i64::to_le_bytes);
    let array = Array::read_i64(&npy(1, &dict("<i8", true, "(2, 3)"), &columns)).unwrap();
    assert_eq!(array.data, [1, 2, 3, 4, 5, 6]);
    let c_order = Array::read_i64(&npy(1, &dict("<i8", false, "(2, 3)"), &columns)).unwrap();
    assert_ne!(c_order.data, array.data);

    // Three axes: element [i, j, k] of shape (2, 3, 2) sits at i + 2 j + 6 k.
    let file: Vec<u8> = (0..12).collect();
    let array = Array::read_u8(&npy(1, &dict("|u1", true, "(2, 3, 2)"), &file)).unwrap();
    assert_eq!(array.data, [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11]);

    let bools = Array::read_f32(&npy(1, &dict("|b1", false, "(3,)"), &[0, 1, 1])).unwrap();
    assert_eq!(bools.data, [0.0, 1.0, 1.0]);
    let wide = npy(1, &dict("<u8", false, "(1,)"), &u64::MAX.to_le_bytes());
    assert_eq!(Array::read_i64(&wide).unwrap().data, [i64::MAX]);
    let scalar = Array::read_i64(&npy(1, &dict("<i2", false, "()"), &[0xff, 0xff])).unwrap();
    assert_eq!((scalar.shape.len(), scalar.data[0]), (0, -1));
}

#[test]
fn bad_files_say_what_is_wrong() {
    let read = |bytes: &[u8]| Array::read_f32(bytes).unwrap_err();
    assert_eq!(read(b""), NpyError::Magic);
    assert_eq!(read(b"PK\x03\x04 a zip"), NpyError::Magic);
    assert!(matches!(read(b"\x93NUMPY"), NpyError::Header { .. }));
    assert!(matches!(read(&npy(9, "{}", b"")), NpyError::Version { major: 9, .. }));
    assert!(matches!(read(b"\x93NUMPY\x02\0\xff\xff\xff\xff{"), NpyError::Header { .. }));
    assert!(matches!(read(&npy(1, "{}", b"")), NpyError::Header { .. }));
    assert!(matches!(read(&npy(1, &dict("<f4", false, "(-1,)"), b"")), NpyError::Header { .. }));

    let cut = read(&npy(1, &dict("<f4", false, "(2, 3)"), &[0; 23]));
    assert_eq!(cut, NpyError::Length { shape: vec![2, 3], expected: 24, found: 23 });

    for descr in ["|O", "<c8", "<U5", "<f", "<f3", "<M8[ns]", ""] {
        assert!(
            matches!(
                read(&npy(1, &dict(descr, false, "(0,)"), b"")),
                NpyError::Dtype { .. } | NpyError::Length { .. }
            ),
            "{descr:?}"
        );
    }
    let record = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}";
    assert!(matches!(read(&npy(1, record, &[0; 4])), NpyError::Dtype { .. }));
    let floats = npy(1, &dict("<f4", false, "(1,)"), &[0; 4]);
    assert!(Array::read_i64(&floats).unwrap_err().to_string().contains("int64"));
}

/// A shape whose product overflows, or promises more than the file holds, is refused before any memory is
/// taken for it.
#[test]
fn huge_shapes_are_refused_before_allocation() {
    for shape in [
        "(4294967296, 4294967296, 16)",
        "(18446744073709551615,)",
        "(9223372036854775807, 2)",
        "(1000000000000,)",
    ] {
        let error = Array::read_f32(&npy(1, &dict("<f4", false, shape), &[0; 64])).unwrap_err();
        assert!(matches!(error, NpyError::Length { found: 64, .. }), "{error}");
    }
    // An empty axis beside a huge one needs no byte and makes an empty array.
    let empty = Array::read_f32(&npy(1, &dict("<f4", true, "(0, 18446744073709551615)"), b"")).unwrap();
    assert!(empty.data.is_empty());
}

/// Deterministic stand-in for the fuzz target: every prefix, and random byte changes of a valid file.
#[test]
fn mutated_files_never_panic() {
    let valid = npy(1, &dict("<f8", true, "(3, 4)"), &le(&[0.5f64; 12], f64::to_le_bytes));
    let read = |bytes: &[u8]| {
        let array = Array::read_f32(bytes);
        assert_eq!(array, stored(bytes));
        let _ = Array::read_i64(bytes);
        let _ = Array::read_u8(bytes);
    };
    for end in 0..valid.len() {
        read(&valid[..end]);
    }
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    };
    for _ in 0..20_000 {
        let mut bytes = valid.clone();
        for _ in 0..1 + random() % 4 {
            let at = random() % 90;
            bytes[at] = u8::try_from(random() % 256).unwrap();
        }
        read(&bytes);
    }
}
