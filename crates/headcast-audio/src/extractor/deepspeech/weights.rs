//! Which constants DeepSpeech 0.1.0's graph holds, under which names and in which shapes.

use std::io::{Read, Seek};

use serde_json::{Value, json};

use super::DeepSpeechError;
use super::graph::{Graph, GraphError};
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

/// Sizes of the layers. The published network has 2048, 2048, 4096 and 2048 cells, and 2048 in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Outputs of the first three layers.
    pub dense: [usize; 3],
    /// Cells of the recurrent layer, in each direction.
    pub cells: usize,
    /// Outputs of the fifth layer.
    pub after: usize,
}

impl Config {
    /// Largest size of a layer that is accepted.
    const MAX: usize = 1 << 14;

    /// Name and shape of every tensor: weights are `[inputs, outputs]`, as TensorFlow has them.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        Name::ALL.map(|name| (name.in_graph().to_owned(), self.shape(name))).to_vec()
    }

    pub(super) fn shape(&self, name: Name) -> Vec<usize> {
        let Self { dense: [first, second, third], cells, after } = *self;
        match name {
            Name::H1 => vec![INPUTS, first],
            Name::B1 => vec![first],
            Name::H2 => vec![first, second],
            Name::B2 => vec![second],
            Name::H3 => vec![second, third],
            Name::B3 => vec![third],
            // Of the third layer's outputs and its own.
            Name::ForwardKernel | Name::BackwardKernel => vec![third + cells, 4 * cells],
            Name::ForwardBias | Name::BackwardBias => vec![4 * cells],
            Name::H5 => vec![2 * cells, after],
            Name::B5 => vec![after],
            Name::H6 => vec![after, CLASSES],
            Name::B6 => vec![CLASSES],
        }
    }

    /// The sizes as a description of the network holds them.
    pub fn to_json(&self) -> Value {
        json!({ "type": "deepspeech-0.1.0", "dense": self.dense, "cells": self.cells, "after": self.after })
    }

    /// Reads what [`Self::to_json`] makes; `None` if it is something else, or a size is 0 or above 16384.
    pub fn from_json(value: &Value) -> Option<Self> {
        let size = |value: &Value| {
            usize::try_from(value.as_u64()?).ok().filter(|size| (1..=Self::MAX).contains(size))
        };
        if value["type"] != "deepspeech-0.1.0" {
            return None;
        }
        let dense: Vec<usize> = value["dense"].as_array()?.iter().map(size).collect::<Option<_>>()?;
        Some(Self {
            dense: dense.try_into().ok()?,
            cells: size(&value["cells"])?,
            after: size(&value["after"])?,
        })
    }
}

/// A frozen graph that was found to be DeepSpeech's.
pub struct Frozen<R> {
    graph: Graph<R>,
    /// What each tensor is called there.
    places: Vec<(Name, String)>,
    config: Config,
}

impl<R> std::fmt::Debug for Frozen<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frozen({:?})", self.config)
    }
}

impl<R: Read + Seek> Frozen<R> {
    /// Finds the constants of a frozen graph (`output_graph.pb`) and holds their shapes against each other. Nothing is
    /// executed, and no weight is read yet.
    ///
    /// Layers may have any size that fits together; 494 inputs and 29 letters are required.
    ///
    /// # Errors
    /// [`DeepSpeechError`].
    pub fn open(source: R) -> Result<Self, DeepSpeechError> {
        let graph = Graph::open(source)?;
        let find = |name: Name| {
            let missing = || DeepSpeechError::OtherVersion { missing: name.in_graph(), found: found(&graph) };
            name.find(&graph).map(|found| (name, found)).ok_or_else(missing)
        };
        let places: Vec<_> = Name::ALL.into_iter().map(find).collect::<Result<_, _>>()?;
        let shape = |name: Name| -> Vec<usize> {
            let place = places.iter().find(|(found, _)| *found == name);
            let shape = place.and_then(|(_, place)| graph.shape(place)).unwrap_or_default();
            shape.iter().map(|&axis| usize::try_from(axis).unwrap_or(usize::MAX)).collect()
        };
        let outputs = |name: Name| shape(name).last().map_or(1, |&size| size.clamp(1, Config::MAX));
        let config = Config {
            dense: [Name::H1, Name::H2, Name::H3].map(outputs),
            cells: outputs(Name::ForwardBias).div_ceil(4),
            after: outputs(Name::H5),
        };
        for name in Name::ALL {
            let (found, wanted) = (shape(name), config.shape(name));
            if found != wanted {
                return Err(DeepSpeechError::Shape { name: name.in_graph(), found, wanted });
            }
        }
        Ok(Self { graph, places, config })
    }

    /// Sizes of its layers.
    pub fn config(&self) -> Config {
        self.config
    }

    /// Values of one of [`Config::tensors`].
    ///
    /// # Errors
    /// [`DeepSpeechError`], also when a value is not finite.
    pub fn read(&mut self, name: &str) -> Result<Vec<f32>, DeepSpeechError> {
        let missing = || GraphError::Missing { name: name.to_owned() };
        let (name, place) =
            self.places.iter().find(|(found, _)| found.in_graph() == name).ok_or_else(missing)?;
        let values = self.graph.read(place)?;
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(DeepSpeechError::NotFinite { name: name.in_graph() }),
        }
    }
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
