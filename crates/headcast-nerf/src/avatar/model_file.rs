//! The network as `model.safetensors`, under upstream's tensor names.

use std::collections::HashMap;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::error::AvatarError;
use crate::checkpoint::{f16_bits, f16_to_f32};
use crate::model::{Conv1d, ErNerf, GridTable, Linear, Mlp};

/// Name inside the avatar.
pub(super) const FILE: &str = "model.safetensors";

/// Serializes what inference reads; the same network gives the same bytes.
///
/// * `half`: feature tables, nine tenths of the file, as f16. Nets stay f32, they are small.
///
/// # Errors
/// [`AvatarError::Data`] if the container cannot hold it.
pub(super) fn to_bytes(model: &ErNerf, half: bool) -> Result<Vec<u8>, AvatarError> {
    let mut writer = Writer { half, tensors: Vec::new() };
    writer.floats("aabb_infer", &[6], &model.aabb);
    writer.tensors.push((
        "density_bitfield".to_owned(),
        Dtype::U8,
        vec![model.density_bitfield.len()],
        model.density_bitfield.clone(),
    ));
    for (i, layer) in model.audio.convolutions.iter().enumerate() {
        writer.convolution(&format!("audio_net.encoder_conv.{}", 2 * i), layer);
    }
    for (i, layer) in model.audio.linear.iter().enumerate() {
        writer.linear(&format!("audio_net.encoder_fc1.{}", 2 * i), layer);
    }
    if let Some(attention) = &model.audio_attention {
        for (i, layer) in attention.convolutions.iter().enumerate() {
            writer.convolution(&format!("audio_att_net.attentionConvNet.{}", 2 * i), layer);
        }
        writer.linear("audio_att_net.attentionNet.0", &attention.linear);
    }
    if let Some(embedding) = &model.embedding {
        writer.floats("embedding.weight", &[embedding.rows, embedding.cols], &embedding.data);
    }
    writer.code("individual_codes", &model.individual_code);
    for (name, table) in ["encoder_xy", "encoder_yz", "encoder_xz"].iter().zip(&model.planes) {
        writer.table(name, table);
    }
    writer.mlp("aud_ch_att_net", &model.audio_channel_attention);
    writer.mlp("eye_att_net", &model.eye_attention);
    writer.mlp("sigma_net", &model.sigma);
    writer.mlp("color_net", &model.color);
    let mut metadata = HashMap::new();
    if let Some(torso) = &model.torso {
        writer.floats("anchor_points", &[3, 4], torso.anchor_points.as_flattened());
        writer.code("individual_codes_torso", &torso.individual_code);
        writer.floats("density_grid_torso", &[torso.density_grid.len()], &torso.density_grid);
        writer.mlp("torso_deform_net", &torso.deform);
        writer.table("torso_encoder", &torso.grid);
        writer.mlp("torso_net", &torso.net);
        // One entry only: the header's order, and with it the bytes, would not be fixed with more.
        metadata.insert("mean_density_torso".to_owned(), torso.mean_density.to_string());
    }
    writer.finish(metadata)
}

struct Writer {
    half: bool,
    tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>,
}

impl Writer {
    fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensors.push((name.to_owned(), Dtype::F32, shape.to_vec(), bytes));
    }

    fn code(&mut self, name: &str, code: &[f32]) {
        if !code.is_empty() {
            self.floats(name, &[1, code.len()], code);
        }
    }

    fn linear(&mut self, name: &str, layer: &Linear) {
        let weight = &layer.weight;
        self.floats(&format!("{name}.weight"), &[weight.rows, weight.cols], &weight.data);
        self.floats(&format!("{name}.bias"), &[layer.bias.len()], &layer.bias);
    }

    fn convolution(&mut self, name: &str, layer: &Conv1d) {
        self.floats(&format!("{name}.weight"), &[layer.outputs, layer.inputs, layer.kernel], &layer.weight);
        self.floats(&format!("{name}.bias"), &[layer.bias.len()], &layer.bias);
    }

    fn mlp(&mut self, name: &str, mlp: &Mlp) {
        for (i, layer) in mlp.layers.iter().enumerate() {
            self.floats(&format!("{name}.net.{i}.weight"), &[layer.rows, layer.cols], &layer.data);
        }
    }

    fn table(&mut self, name: &str, table: &GridTable) {
        let offsets = table.offsets.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.tensors.push((format!("{name}.offsets"), Dtype::I32, vec![table.offsets.len()], offsets));
        let embeddings = format!("{name}.embeddings");
        let shape = [table.embeddings.len() / table.channels, table.channels];
        // A value that f16 cannot reach keeps the whole table in f32.
        let fits = table.embeddings.iter().all(|v| f16_to_f32(f16_bits(*v)).is_finite());
        if self.half && fits {
            let bytes = table.embeddings.iter().flat_map(|v| f16_bits(*v).to_le_bytes()).collect();
            self.tensors.push((embeddings, Dtype::F16, shape.to_vec(), bytes));
        } else {
            self.floats(&embeddings, &shape, &table.embeddings);
        }
    }

    fn finish(&self, metadata: HashMap<String, String>) -> Result<Vec<u8>, AvatarError> {
        let views: Result<Vec<_>, _> = self
            .tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect();
        views
            .and_then(|views| safetensors::serialize(views, Some(metadata)))
            .map_err(|e| AvatarError::data(FILE, e.to_string()))
    }
}
