//! The avatar inside the program.

use std::borrow::Cow;

use bytes::Bytes;
use headcast::nerf::avatar::{Avatar, AvatarError};

use super::avatars::{Entry, content_type};
use super::portrait;
use crate::jobs::{AvatarDetails, AvatarInfo, Picture};

/// Name of the built-in avatar.
pub(super) const NAME: &str = "milo";

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../assets/avatars/milo/", $name)) as &[u8])),*]
    };
}

/// Everything in its folder that an avatar may have.
const FILES: &[(&str, &[u8])] = files![
    "avatar.toml",
    "background.jpg",
    "LICENSE.txt",
    "model.safetensors",
    "poses.safetensors",
    "preview.mp4",
    "thumbnail.jpg",
];

fn file(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(file, _)| *file == name).map(|(_, bytes)| *bytes)
}

pub(super) fn load() -> Result<Avatar, AvatarError> {
    Avatar::from_files(NAME, &|name| file(name).map(Cow::Borrowed))
}

pub(super) fn thumbnail() -> Option<Picture> {
    let (name, bytes) = FILES.iter().find(|(file, _)| file.starts_with("thumbnail."))?;
    Some(Picture { content_type: content_type(name), bytes: Bytes::from_static(bytes) })
}

pub(super) fn preview() -> Option<Bytes> {
    file(portrait::SPEAKING).map(Bytes::from_static)
}

/// What the list shows, without loading the avatar. A test holds it to the files.
pub(super) fn entry() -> Entry {
    Entry {
        info: AvatarInfo {
            name: NAME.to_owned(),
            title: "Milo".to_owned(),
            width: 512,
            height: 512,
            credits: CREDITS.to_owned(),
            preview: true,
        },
        remark: "built in; er-nerf, deepspeech features, 1500 poses".to_owned(),
    }
}

/// Everything that is known of it. A test holds it to the files.
pub(super) fn details() -> AvatarDetails {
    AvatarDetails {
        info: entry().info,
        built_in: true,
        kind: "er-nerf".to_owned(),
        features: "built-in".to_owned(),
        torso: true,
        poses: 1500,
        licence: "MIT".to_owned(),
        missing_extractor: None,
    }
}

const CREDITS: &str =
    "synthetic person rendered from ICT-FaceKit, MIT, USC Institute for Creative Technologies";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_what_the_files_say() {
        let avatar = load().unwrap();
        let Entry { info, remark } = entry();
        assert_eq!(
            (info.title, info.width, info.height, info.credits),
            (avatar.title.clone(), avatar.width, avatar.height, avatar.credits.clone())
        );
        assert!(remark.contains(&format!("{} poses", avatar.poses.len())), "{remark}");
        let details = details();
        let toml = std::str::from_utf8(file("avatar.toml").unwrap()).unwrap();
        for line in [
            format!("kind = {:?}", details.kind),
            format!("features = {:?}", details.features),
            format!("torso = {}", details.torso),
            format!("poses = {}", details.poses),
            format!("licence = {:?}", details.licence),
        ] {
            assert!(toml.lines().any(|found| found == line), "{line}");
        }
        assert!(thumbnail().is_some());
        assert!(preview().is_some());
    }
}
