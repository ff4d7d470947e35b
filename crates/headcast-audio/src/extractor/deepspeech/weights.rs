//! Which constants DeepSpeech 0.1.0's graph holds, under which names and in which shapes.

use std::io::{Read, Seek};

use super::DeepSpeechError;
use super::graph::Graph;
use super::mfcc::INPUTS;

/// Letters, space, apostrophe and blank.
pub(super) const CLASSES: usize = 29;

/// A tensor of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    H1,
    B1,
    H2,
    B2,
    H3,
    B3,
    ForwardKernel,
    ForwardBias,
    BackwardKernel,
    BackwardBias,
    H5,
    B5,
    H6,
    B6,
}

/// Values of a tensor: `[inputs, outputs]` row-major for weights, `[outputs]` for biases.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

impl Name {
    pub(super) const ALL: [Self; 14] = [
        Self::H1,
        Self::B1,
        Self::H2,
        Self::B2,
        Self::H3,
        Self::B3,
        Self::ForwardKernel,
        Self::ForwardBias,
        Self::BackwardKernel,
        Self::BackwardBias,
        Self::H5,
        Self::B5,
        Self::H6,
        Self::B6,
    ];

    /// Its name in the published graph.
    pub(super) fn in_graph(self) -> &'static str {
        match self {
            Self::H1 => "h1",
            Self::B1 => "b1",
            Self::H2 => "h2",
            Self::B2 => "b2",
            Self::H3 => "h3",
            Self::B3 => "b3",
            Self::ForwardKernel => "bidirectional_rnn/fw/basic_lstm_cell/kernel",
            Self::ForwardBias => "bidirectional_rnn/fw/basic_lstm_cell/bias",
            Self::BackwardKernel => "bidirectional_rnn/bw/basic_lstm_cell/kernel",
            Self::BackwardBias => "bidirectional_rnn/bw/basic_lstm_cell/bias",
            Self::H5 => "h5",
            Self::B5 => "b5",
            Self::H6 => "h6",
            Self::B6 => "b6",
        }
    }

    /// As TensorFlow before 1.2 spelled it.
    fn before_1_2(self) -> Option<&'static str> {
        Some(match self {
            Self::ForwardKernel => "bidirectional_rnn/fw/basic_lstm_cell/weights",
            Self::ForwardBias => "bidirectional_rnn/fw/basic_lstm_cell/biases",
            Self::BackwardKernel => "bidirectional_rnn/bw/basic_lstm_cell/weights",
            Self::BackwardBias => "bidirectional_rnn/bw/basic_lstm_cell/biases",
            _ => return None,
        })
    }

    /// Its name in this graph: either spelling, also within a scope, as imported graphs have it.
    fn find<R: Read + Seek>(self, graph: &Graph<R>) -> Option<String> {
        let spellings = [Some(self.in_graph()), self.before_1_2()];
        let is = |found: &str, wanted: &str| {
            found.strip_suffix(wanted).is_some_and(|scope| scope.is_empty() || scope.ends_with('/'))
        };
        let names = spellings
            .into_iter()
            .flatten()
            .flat_map(|wanted| graph.names().filter(move |name| is(name, wanted)));
        names.min_by_key(|name| name.len()).map(str::to_owned)
    }
}

/// Where each tensor is in a graph, after its shape was found to be right.
pub(super) fn locate<R: Read + Seek>(graph: &Graph<R>) -> Result<Vec<(Name, String)>, DeepSpeechError> {
    let find = |name: Name| {
        let missing = || DeepSpeechError::OtherVersion { missing: name.in_graph(), found: found(graph) };
        name.find(graph).map(|found| (name, found)).ok_or_else(missing)
    };
    let places: Vec<_> = Name::ALL.into_iter().map(find).collect::<Result<_, _>>()?;
    let shape = |name: Name| {
        let place = places.iter().find(|(found, _)| *found == name);
        let shape = place.and_then(|(_, place)| graph.shape(place)).unwrap_or_default();
        shape.iter().map(|&axis| usize::try_from(axis).unwrap_or(usize::MAX)).collect()
    };
    check(&shape)?;
    Ok(places)
}

/// Holds shapes against each other; sizes of layers are free, inputs and classes are not.
pub(super) fn check(shape: &dyn Fn(Name) -> Vec<usize>) -> Result<(), DeepSpeechError> {
    let outputs = |name: Name| *shape(name).last().unwrap_or(&0);
    let [first, second, third, fifth] = [Name::H1, Name::H2, Name::H3, Name::H5].map(outputs);
    // The recurrent layer takes the third layer's outputs and its own.
    let cells = outputs(Name::ForwardKernel) / 4;
    for name in Name::ALL {
        let wanted = match name {
            Name::H1 => vec![INPUTS, first],
            Name::B1 => vec![first],
            Name::H2 => vec![first, second],
            Name::B2 => vec![second],
            Name::H3 => vec![second, third],
            Name::B3 => vec![third],
            Name::ForwardKernel | Name::BackwardKernel => vec![third.saturating_add(cells), cells * 4],
            Name::ForwardBias | Name::BackwardBias => vec![cells * 4],
            Name::H5 => vec![cells * 2, fifth],
            Name::B5 => vec![fifth],
            Name::H6 => vec![fifth, CLASSES],
            Name::B6 => vec![CLASSES],
        };
        let found = shape(name);
        if found != wanted || wanted.contains(&0) {
            return Err(DeepSpeechError::Shape { name: name.in_graph(), found, wanted });
        }
    }
    Ok(())
}

/// What a graph is instead, in words.
fn found<R: Read + Seek>(graph: &Graph<R>) -> String {
    let telling = [
        ("lstm_fused_cell", "DeepSpeech 0.2 to 0.6"),
        ("cudnn_lstm", "DeepSpeech 0.6 to 0.9"),
        ("multi_rnn_cell", "DeepSpeech 0.7 to 0.9"),
        ("quantized", "a quantized graph"),
    ];
    for (part, version) in telling {
        if let Some(name) = graph.names().find(|name| name.contains(part)) {
            return format!("{name:?}, as in {version}");
        }
    }
    // Long names and long lists say no more than a few.
    let names: Vec<String> = graph
        .names()
        .take(5)
        .map(|name| format!("{:?}", name.chars().take(60).collect::<String>()))
        .collect();
    match graph.names().count() {
        0 => "no constants at all; it may be a graph that was not frozen".to_owned(),
        count if count > names.len() => format!("{} and {} more", names.join(", "), count - names.len()),
        _ => names.join(", "),
    }
}

/// Reads a tensor of a graph.
pub(super) fn read<R: Read + Seek>(
    graph: &mut Graph<R>,
    name: Name,
    place: &str,
) -> Result<Tensor, DeepSpeechError> {
    let values = graph.read(place)?;
    let shape = graph.shape(place).unwrap_or_default();
    let shape = shape.iter().map(|&axis| usize::try_from(axis).unwrap_or(usize::MAX)).collect();
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(Tensor { shape, values }),
        false => Err(DeepSpeechError::NotFinite { name: name.in_graph() }),
    }
}
