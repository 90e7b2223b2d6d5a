//! What the classes of a data set show.

/// Names of the ten classes of the data set called `dataset`, after its authors' (shortened); the digits for MNIST.
pub fn class_names(dataset: &str) -> Option<[&'static str; 10]> {
    match dataset {
        "mnist" => Some(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
        "fashion-mnist" => {
            Some(["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"])
        }
        "cifar-10" => Some(["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]),
        _ => None,
    }
}

/// The class's name, or its number where it has none.
pub(super) fn class_name(dataset: &str, class: u8) -> String {
    let name = class_names(dataset).and_then(|names| names.get(usize::from(class)).copied());
    name.map_or_else(|| class.to_string(), String::from)
}

/// The class's number, and its name where that says more.
pub(super) fn class_title(dataset: &str, class: u8) -> String {
    let (number, name) = (class.to_string(), class_name(dataset, class));
    if name == number { number } else { format!("{number} {name}") }
}
