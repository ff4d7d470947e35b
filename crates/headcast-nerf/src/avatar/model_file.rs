//! The network as `model.safetensors`, under upstream's tensor names.

use std::collections::HashMap;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::error::AvatarError;
use crate::checkpoint::{f16_bits, f16_to_f32};
use crate::model::{
    AdField, AudioAttention, AudioNet, Conv1d, GridTable, Linear, Matrix, Mlp, Network, TorsoPose,
};

/// Name inside the avatar.
pub(super) const FILE: &str = "model.safetensors";

/// Serializes what inference reads; the same network gives the same bytes.
///
/// * `half`: feature tables, nine tenths of the file, as f16. Nets stay f32, they are small.
///
/// # Errors
/// [`AvatarError::Data`] if the container cannot hold it.
pub(super) fn to_bytes(network: &Network, half: bool) -> Result<Vec<u8>, AvatarError> {
    let mut writer = Writer { half, tensors: Vec::new() };
    let mut metadata = HashMap::new();
    let torso = match network {
        Network::Er(model) => {
            writer.scene(model.aabb, &model.density_bitfield);
            writer.ears(&model.audio, model.audio_attention.as_ref(), model.embedding.as_ref());
            writer.code("individual_codes", &model.individual_code);
            for (name, table) in ["encoder_xy", "encoder_yz", "encoder_xz"].iter().zip(&model.planes) {
                writer.table(name, table);
            }
            writer.mlp("aud_ch_att_net", &model.audio_channel_attention);
            writer.mlp("eye_att_net", &model.eye_attention);
            writer.mlp("sigma_net", &model.sigma);
            writer.mlp("color_net", &model.color);
            model.torso.as_ref()
        }
        Network::Rad(model) => {
            writer.scene(model.aabb, &model.density_bitfield);
            writer.ears(&model.audio, model.audio_attention.as_ref(), model.embedding.as_ref());
            writer.code("individual_codes", &model.individual_code);
            writer.table("encoder", &model.grid);
            writer.table("encoder_ambient", &model.ambient_grid);
            writer.mlp("ambient_net", &model.ambient);
            writer.mlp("sigma_net", &model.sigma);
            writer.mlp("color_net", &model.color);
            model.torso.as_ref()
        }
        Network::Ad(model) => {
            writer.audio_net("head.network_audnet_state_dict", &model.audio);
            writer.audio_attention("head.network_audattnet_state_dict", &model.audio_attention);
            writer.field("head", &model.head);
            if let Some(torso) = &model.torso {
                writer.field("body", &torso.field);
                writer.floats("body.pose", &[3, 4], torso.pose.as_flattened());
            }
            None
        }
    };
    if let Some(torso) = torso {
        if let TorsoPose::Anchors(anchors) = &torso.pose {
            writer.floats("anchor_points", &[3, 4], anchors.as_flattened());
        }
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

    /// Where the field is.
    fn scene(&mut self, aabb: [f32; 6], bits: &[u8]) {
        self.floats("aabb_infer", &[6], &aabb);
        self.tensors.push(("density_bitfield".to_owned(), Dtype::U8, vec![bits.len()], bits.to_vec()));
    }

    fn ears(&mut self, net: &AudioNet, attention: Option<&AudioAttention>, embedding: Option<&Matrix>) {
        self.audio_net("audio_net", net);
        if let Some(attention) = attention {
            self.audio_attention("audio_att_net", attention);
        }
        if let Some(embedding) = embedding {
            self.floats("embedding.weight", &[embedding.rows, embedding.cols], &embedding.data);
        }
    }

    fn audio_net(&mut self, name: &str, net: &AudioNet) {
        for (i, layer) in net.convolutions.iter().enumerate() {
            self.convolution(&format!("{name}.encoder_conv.{}", 2 * i), layer);
        }
        for (i, layer) in net.linear.iter().enumerate() {
            self.linear(&format!("{name}.encoder_fc1.{}", 2 * i), layer);
        }
    }

    fn audio_attention(&mut self, name: &str, net: &AudioAttention) {
        for (i, layer) in net.convolutions.iter().enumerate() {
            self.convolution(&format!("{name}.attentionConvNet.{}", 2 * i), layer);
        }
        self.linear(&format!("{name}.attentionNet.0"), &net.linear);
    }

    fn field(&mut self, part: &str, field: &AdField) {
        for (name, net) in
            [("network_fn_state_dict", &field.coarse), ("network_fine_state_dict", &field.fine)]
        {
            let name = format!("{part}.{name}");
            for (i, layer) in net.points.iter().enumerate() {
                self.linear(&format!("{name}.pts_linears.{i}"), layer);
            }
            self.linear(&format!("{name}.alpha_linear"), &net.alpha);
            for (i, layer) in net.views.iter().enumerate() {
                self.linear(&format!("{name}.views_linears.{i}"), layer);
            }
            self.linear(&format!("{name}.rgb_linear"), &net.rgb);
        }
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
