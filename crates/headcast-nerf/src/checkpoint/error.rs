//! What can be wrong with a checkpoint.

use headcast_core::FeatureKind;

use super::dtype::DType;
use super::family::Family;

/// Why a file cannot be used as a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Check that the file exists and may be read.
    #[error("cannot read the checkpoint: {0}")]
    Io(#[from] std::io::Error),
    /// Choose the `.pth` file that training wrote.
    #[error(
        "this is neither a PyTorch checkpoint nor a safetensors file (it starts with {start}); \
         choose the `ngp.pth` that training wrote"
    )]
    Format {
        /// The first bytes, readable.
        start: String,
    },
    /// Copy or download the file again.
    #[error("the checkpoint is damaged or incomplete: {what}; copy or download it again")]
    Damaged {
        /// What does not fit.
        what: String,
    },
    /// Save the checkpoint again with `torch.save`, which does not compress.
    #[error(
        "`{member}` in the checkpoint's zip container is compressed or encrypted; PyTorch stores members \
         uncompressed: save the file again with torch.save instead of a zip program"
    )]
    Compressed {
        /// Name inside the zip.
        member: String,
    },
    /// The file was not written by `torch.save`, or is hostile; nothing in it was executed.
    #[error("the checkpoint's pickle is not acceptable at byte {position}: {what} (nothing was executed)")]
    Pickle {
        /// Byte offset inside the pickle (zip: of `data.pkl`; legacy: of the file).
        position: usize,
        /// What was found.
        what: String,
    },
    /// A hostile or damaged file: the size is refused before any memory is asked for.
    #[error(
        "tensor `{tensor}` declares {declared} bytes, but the file holds {held} for it; the file is not used"
    )]
    DeclaredSize {
        /// State-dict name.
        tensor: String,
        /// Bytes that shape, strides and offset ask for.
        declared: u128,
        /// Bytes in the file.
        held: u64,
    },
    /// Use the file that training wrote, not a part of one.
    #[error("the checkpoint has no tensor `{tensor}`{}", missing_hint(.family))]
    MissingTensor {
        /// State-dict name.
        tensor: String,
        /// What the rest of the file looks like.
        family: &'static str,
    },
    /// The model was built with other sizes, or belongs to another family.
    #[error("tensor `{tensor}` has shape {}, expected {expected}", shape_text(.found))]
    Shape {
        /// State-dict name.
        tensor: String,
        /// The rule, readable: `[64, 69]`.
        expected: String,
        /// Shape found.
        found: Vec<usize>,
    },
    /// The file holds something else under this name.
    #[error("tensor `{tensor}` holds {} values, expected {expected}", .found.name())]
    Type {
        /// State-dict name.
        tensor: String,
        /// What is needed.
        expected: &'static str,
        /// What is there.
        found: DType,
    },
    /// The entry is some other Python object; it was not executed.
    #[error("`{tensor}` is not a tensor but {what}; the file is not used and nothing in it was executed")]
    NotATensor {
        /// State-dict name.
        tensor: String,
        /// What it is.
        what: String,
    },
    /// Training diverged, or the file is damaged: take an earlier checkpoint.
    #[error(
        "tensor `{tensor}` holds {value} at element {index}; every weight must be finite: training diverged, \
         take an earlier checkpoint"
    )]
    NotFinite {
        /// State-dict name.
        tensor: String,
        /// Row-major element number.
        index: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// Values contradict each other.
    #[error("tensor `{tensor}` is not usable: {what}")]
    Values {
        /// State-dict name.
        tensor: String,
        /// The contradiction.
        what: String,
    },
    /// Features of such rows are made by no supported extractor.
    #[error("the model hears features of {dims} values (`{tensor}`); supported are {}", extractors())]
    AudioDims {
        /// The first convolution's weight.
        tensor: String,
        /// Channels of the first convolution.
        dims: usize,
    },
    /// Hand it over as what it is, or choose the file that the message names.
    #[error("{}", family_text(*.found, *.expected))]
    Family {
        /// What the file is.
        found: Family,
        /// What was asked for; [`Family::Unknown`] if any talking head would do.
        expected: Family,
    },
    /// Hand both files over under their own names.
    #[error("{0}")]
    AdPart(String),
    /// Choose a checkpoint of a talking head.
    #[error(
        "the file holds no talking-head model: expected a dictionary `model` of tensors as ER-NeRF and RAD-NeRF write it, or `network_fn_state_dict` as AD-NeRF does, \
         found {found}"
    )]
    NoModel {
        /// Names at the top of the file.
        found: String,
    },
}

impl CheckpointError {
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}

/// `[3, 4]`.
pub(super) fn shape_text(shape: &[usize]) -> String {
    format!("{shape:?}")
}

fn family_text(found: Family, expected: Family) -> String {
    let wanted = match expected {
        Family::Unknown => "an ER-NeRF, RAD-NeRF or AD-NeRF head".to_owned(),
        expected => format!("an {expected} head").replace("an RAD", "a RAD"),
    };
    if found == Family::Unknown {
        return format!(
            "the file holds tensors, but not those of {wanted} (`encoder_xy.offsets` is the sign of ER-NeRF, \
             `encoder_ambient.offsets` of RAD-NeRF, `network_fn_state_dict` of AD-NeRF); choose the `ngp.pth` or \
             `NNNNNN_head.tar` that their training wrote"
        );
    }
    let article = if found == Family::RadNerf { "a" } else { "an" };
    format!("this is {article} {found} checkpoint where {wanted} is needed")
}

fn missing_hint(family: &str) -> String {
    if family.is_empty() {
        String::new()
    } else {
        format!(", which every {family} file has; it is incomplete, use the file that training wrote")
    }
}

fn extractors() -> String {
    let kinds =
        [FeatureKind::DeepSpeech, FeatureKind::Wav2Vec2Esperanto, FeatureKind::Wav2Vec2, FeatureKind::Hubert];
    kinds.map(FeatureKind::describe).join(", ")
}
