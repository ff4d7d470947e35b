//! What the doctor says, for programs.

use headcast::core::FeatureKind;
use headcast::nerf::avatar::{Report, extractor_command};
use headcast::nerf::checkpoint::{AdPart, Family};
use serde_json::{Value, json};

/// One object; what does not apply is null or an empty list.
pub(super) fn report_json(report: &Report) -> Value {
    let family = match report.family {
        Family::ErNerf => "er-nerf",
        Family::RadNerf => "rad-nerf",
        Family::AdNerf => "ad-nerf",
        _ => "unknown",
    };
    let part = report.part.map(|part| match part {
        AdPart::Head => "head",
        AdPart::Body => "body",
    });
    let features = |kind: FeatureKind| {
        json!({
            "values": kind.dims(),
            "steps": kind.steps(),
            "name": kind.describe(),
            "extractor": extractor_command(kind),
        })
    };
    let avatar = report.avatar.as_ref().map(|avatar| {
        json!({
            "title": avatar.title,
            "width": avatar.width,
            "height": avatar.height,
            "poses": avatar.poses,
            "torso_images": avatar.torso_images,
            "full_body": avatar.full_body.map(|body| json!({
                "width": body.width,
                "height": body.height,
                "offset_x": body.offset_x,
                "offset_y": body.offset_y,
                "pictures": body.pictures,
            })),
            "credits": avatar.credits,
            "licence": avatar.licence,
        })
    });
    let data = report.data.as_ref().map(|data| {
        json!({
            "poses_file": data.poses_file.display().to_string(),
            "poses": data.poses,
            "width": data.width,
            "height": data.height,
        })
    });
    let shapes = |shapes: &[(String, Vec<usize>)]| -> Vec<Value> {
        shapes.iter().map(|(name, shape)| json!({ "name": name, "shape": shape })).collect()
    };
    let precision: Vec<Value> = report
        .precision
        .iter()
        .map(|(dtype, values)| json!({ "type": dtype.name(), "values": values }))
        .collect();
    let inferred: Vec<Value> = report
        .inferred
        .iter()
        .map(|read| json!({ "option": read.option, "value": read.value, "from": read.from }))
        .collect();
    let [head_code, torso_code] = &report.codes;
    let [epoch, step] = report.progress;
    json!({
        "path": report.path.display().to_string(),
        "file": report.model_file.display().to_string(),
        "bytes": report.bytes,
        "family": family,
        "part": part,
        "variant": report.variant,
        "usable": report.problems.is_empty(),
        "tensors": report.tensors,
        "values": report.parameters,
        "precision": precision,
        "features": report.features.map(features),
        "attention": report.attention,
        "eye": report.eye,
        "torso": report.torso,
        "codes": { "head": head_code, "torso": torso_code },
        "tables": shapes(&report.tables),
        "epoch": epoch,
        "step": step,
        "avatar": avatar,
        "data": data,
        "inferred": inferred,
        "needs": report.needs,
        "warnings": report.warnings,
        "problems": report.problems,
        "skipped": report.skipped,
    })
}
