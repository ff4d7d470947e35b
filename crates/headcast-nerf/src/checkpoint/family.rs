//! Which network a file belongs to.

/// Family of a checkpoint, told by the names in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// ER-NeRF: `encoder_xy.offsets`.
    ErNerf,
    /// RAD-NeRF: `encoder_ambient.offsets`.
    RadNerf,
    /// AD-NeRF: `network_fn_state_dict`.
    AdNerf,
    /// None of them.
    Unknown,
}

impl Family {
    /// As its authors write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ErNerf => "ER-NeRF",
            Self::RadNerf => "RAD-NeRF",
            Self::AdNerf => "AD-NeRF",
            Self::Unknown => "unknown",
        }
    }

    /// Decides by names of the state dict (`has`) and of the dictionary around it (`has_top`).
    pub(super) fn detect(has: impl Fn(&str) -> bool, has_top: impl Fn(&str) -> bool) -> Self {
        // Both parts of each table and both plane names: a file that lost one tensor is still recognised,
        // and then told which one is missing.
        let any = |names: &[&str]| names.iter().any(|name| has(name));
        if any(&["encoder_xy.offsets", "encoder_xy.embeddings", "encoder_yz.offsets", "encoder_xz.offsets"]) {
            Self::ErNerf
        } else if any(&["encoder_ambient.offsets", "encoder_ambient.embeddings", "ambient_net.net.0.weight"])
        {
            Self::RadNerf
        } else if has_top("network_fn_state_dict")
            || any(&["head.network_fn_state_dict.pts_linears.0.weight", "pts_linears.0.weight"])
        {
            Self::AdNerf
        } else {
            Self::Unknown
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
