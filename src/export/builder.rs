//! An ONNX graph under construction. Values go by their names.

use super::ExportError;
use super::error::finite;
use super::schema::{
    Attribute, AttributeKind, Dimension, ElementKind, Graph, Kind, Length, Node, Shape, Tensor, TensorKind, Value,
};

/// The graph so far.
#[derive(Default)]
pub(super) struct Builder {
    pub graph: Graph,
}

impl Builder {
    /// Adds an operation that makes the value `output`, and returns that name.
    pub(super) fn node(&mut self, operator: &str, inputs: &[&str], attributes: Vec<Attribute>, output: &str) -> String {
        self.graph.node.push(Node {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: output.to_owned(),
            op_type: operator.to_owned(),
            attribute: attributes,
        });
        output.to_owned()
    }

    /// Calls what the newest operation makes by another name, which is returned.
    pub(super) fn rename_newest(&mut self, name: &str) -> String {
        if let Some(node) = self.graph.node.last_mut() {
            node.name = name.to_owned();
            node.output = vec![name.to_owned()];
        }
        name.to_owned()
    }

    /// Adds a constant of single-precision numbers, which must be finite.
    pub(super) fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> Result<String, ExportError> {
        finite(name, values)?;
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok(self.constant(name, ElementKind::Float, dims, bytes))
    }

    /// Adds a single double-precision number.
    pub(super) fn double(&mut self, name: &str, value: f64) -> String {
        self.constant(name, ElementKind::Double, &[], value.to_le_bytes().into())
    }

    /// Adds a list of integers.
    pub(super) fn integers(&mut self, name: &str, values: &[usize]) -> String {
        let bytes = values.iter().flat_map(|&value| (value as i64).to_le_bytes()).collect();
        self.constant(name, ElementKind::Int64, &[values.len()], bytes)
    }

    fn constant(&mut self, name: &str, kind: ElementKind, dims: &[usize], raw_data: Vec<u8>) -> String {
        let dims = dims.iter().map(|&dim| dim as i64).collect();
        self.graph.initializer.push(Tensor { dims, data_type: kind as i32, name: name.to_owned(), raw_data });
        name.to_owned()
    }
}

/// An input or output whose first dimension, `N`, is free.
pub(super) fn value(name: &str, element: ElementKind, sample: &[usize], doc: &str) -> Value {
    let fixed = sample.iter().map(|&dim| Length::Fixed(dim as i64));
    let lengths = [Length::Free("N".to_owned())].into_iter().chain(fixed);
    let dim = lengths.map(|length| Dimension { length: Some(length) }).collect();
    let tensor = TensorKind { element: element as i32, shape: Some(Shape { dim }) };
    Value { name: name.to_owned(), kind: Some(Kind { tensor: Some(tensor) }), doc_string: doc.to_owned() }
}

pub(super) fn float(name: &str, value: f32) -> Attribute {
    Attribute { name: name.to_owned(), float: Some(value), kind: AttributeKind::Float as i32, ..Attribute::default() }
}

pub(super) fn integer(name: &str, value: i64) -> Attribute {
    Attribute { name: name.to_owned(), int: Some(value), kind: AttributeKind::Int as i32, ..Attribute::default() }
}

pub(super) fn integers(name: &str, values: &[usize]) -> Attribute {
    let ints = values.iter().map(|&value| value as i64).collect();
    Attribute { name: name.to_owned(), ints, kind: AttributeKind::Ints as i32, ..Attribute::default() }
}
