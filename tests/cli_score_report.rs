//! `pkdgan score --report`: the page that shows the most anomalous pictures.

mod command;

use std::fs;
use std::path::Path;

use command::{Sandbox, TINY, stderr, textured};
use scraper::{ElementRef, Html, Selector};
use serde_json::Value;

/// A sandbox with a student of 40 good pictures in `run`, and 30 new ones in `new`. One of them is a copy of a good one, two have a
/// spot, and one is no picture.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for (folder, first, count) in [("good", 0, 40), ("new", 40, 27)] {
        fs::create_dir_all(sandbox.path(folder)).unwrap();
        for n in first..first + count {
            textured(n, false).save(sandbox.path(&format!("{folder}/{n:03}.png"))).unwrap();
        }
    }
    for n in 0..2 {
        textured(n, true).save(sandbox.path(&format!("new/a spot {n}.png"))).unwrap();
    }
    fs::copy(sandbox.path("good/007.png"), sandbox.path("new/copy.png")).unwrap();
    sandbox.write("new/broken.png", b"none");
    let train = ["train", "--stage=student", "--images=good", "--group-by=none", "--out=run"];
    sandbox.pkdgan(&train).args(TINY).assert().success();
    sandbox
}

struct Page(Html);

impl Page {
    fn read(sandbox: &Sandbox, path: &str) -> Self {
        let page = Html::parse_document(&String::from_utf8(sandbox.read(path)).unwrap());
        assert_eq!(page.errors, [""; 0], "a browser would have to mend it");
        let page = Self(page);
        let outside = |link: &&str| !link.starts_with("data:image/png;base64,");
        let sources: Vec<_> = page.all("img").iter().map(|image| image.attr("src").unwrap()).filter(outside).collect();
        assert_eq!(sources, [""; 0], "the page holds all that it shows");
        page
    }

    fn all(&self, selector: &str) -> Vec<ElementRef<'_>> {
        self.0.select(&Selector::parse(selector).unwrap()).collect()
    }

    fn texts(&self, selector: &str) -> Vec<String> {
        self.all(selector).into_iter().map(|element| element.text().collect::<String>().trim().to_owned()).collect()
    }
}

#[test]
fn the_page_shows_the_highest_scores_where_they_are_unusual_and_what_they_are_like() {
    let sandbox = sandbox();
    let score = ["score", "run", "new", "--format=jsonl", "--score=features", "--report=pages/found.html"];
    fs::create_dir(sandbox.path("pages")).unwrap();
    let output = sandbox.pkdgan(&score).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "one picture is none: {}", stderr(&output));
    let rows = output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let mut rows: Vec<Value> = rows.map(|line| serde_json::from_slice(line).unwrap()).collect();
    rows.retain(|row| row["score"].is_number());
    rows.sort_by(|a, b| b["score"].as_f64().unwrap().total_cmp(&a["score"].as_f64().unwrap()));

    let page = Page::read(&sandbox, "pages/found.html");
    let anomalous = rows.iter().filter(|row| row["verdict"] == "anomalous").count();
    assert_eq!(page.texts(".cards .value"), ["30", &anomalous.to_string(), "1"]);
    let shown = page.texts("tbody th");
    let expected: Vec<&str> = rows.iter().take(24).map(|row| row["path"].as_str().unwrap()).collect();
    assert_eq!(shown, expected);
    assert!(shown[..2].iter().all(|name| name.contains("a spot")), "{shown:?}");
    let scores: Vec<String> = rows[..24].iter().map(|row| format!("{:.4}", row["score"].as_f64().unwrap())).collect();
    assert_eq!(page.texts("td.score"), scores);
    // The picture, the picture under its heat map, and the most similar training picture.
    assert_eq!(page.all("tbody img").len(), 24 * 3);
    let links = page.all("tbody a");
    assert_eq!(links.len(), 24 * 2);
    for link in links {
        let path = link.attr("href").unwrap().strip_prefix("file://").unwrap().replace("%20", " ");
        assert!(Path::new(&path).exists(), "{path}");
    }
    // Training pictures alone, and one for each latent vector that the model keeps.
    let references = String::from_utf8(sandbox.read("run/references.csv")).unwrap();
    assert_eq!(references.lines().count(), 1 + 32);
    for similar in page.texts("td.words a") {
        assert!(references.lines().any(|line| line.ends_with(&format!("/{similar}"))), "{similar}");
    }
}

#[test]
fn a_picture_is_most_like_its_own_copy() {
    let sandbox = sandbox();
    let references = String::from_utf8(sandbox.read("run/references.csv")).unwrap();
    let path = references.lines().nth(5).unwrap();
    sandbox.pkdgan(&["score", "run", path, "--report=one.html", "--quiet"]).assert().success();
    let page = Page::read(&sandbox, "one.html");
    let name = Path::new(path).file_name().unwrap().to_str().unwrap();
    assert_eq!(page.texts("td.words"), [format!("{name} 0.000")]);
    // Where the training picture is gone, its name is left.
    fs::rename(path, sandbox.path("moved.png")).unwrap();
    sandbox.pkdgan(&["score", "run", "moved.png", "--report=one.html", "--quiet"]).assert().success();
    let page = Page::read(&sandbox, "one.html");
    assert_eq!(page.texts("td.words"), [format!("{name}, which is gone 0.000")]);
    assert_eq!(page.all("tbody img").len(), 2);
}

#[test]
fn what_is_not_known_is_not_shown() {
    let sandbox = sandbox();
    // A file of many has no file for each; a model elsewhere has no references.
    fs::copy(sandbox.path("run/model.safetensors"), sandbox.path("model.safetensors")).unwrap();
    let images = "data/mnist/t10k-images-idx3-ubyte";
    sandbox.pkdgan(&["score", "model.safetensors", images, "--report=many.html"]).assert().success();
    let page = Page::read(&sandbox, "many.html");
    assert_eq!(page.all("tbody tr").len(), 24);
    assert!(page.texts("tbody th").iter().all(|name| name.starts_with(&format!("{images}#"))));
    assert_eq!((page.all("tbody a").len(), page.all("tbody img").len()), (0, 24 * 2));
    // References of another run are not those of the model.
    sandbox.write("references.csv", b"path\n/elsewhere/a.png\n");
    sandbox.pkdgan(&["score", "model.safetensors", images, "--report=many.html"]).assert().success();
    assert_eq!(Page::read(&sandbox, "many.html").all("td.words").len(), 0);
    // Nothing to score is said too.
    fs::create_dir(sandbox.path("empty")).unwrap();
    sandbox.pkdgan(&["score", "run", "empty", "--report=none.html"]).assert().success();
    assert_eq!(Page::read(&sandbox, "none.html").texts("main > p"), ["No picture has a score."]);
    // Without a scale of heat maps there are none.
    sandbox.trained("digits", &["--stage", "student"]);
    sandbox.pkdgan(&["score", "digits", images, "--report=digits.html"]).assert().success();
}

#[test]
fn the_page_has_a_file_of_its_own() {
    let sandbox = sandbox();
    for (flags, said) in [
        (&["--report=-"][..], "--report takes a file of its own"),
        (&["--report=a.csv", "--output=a.csv"], "--report takes a file of its own"),
        (&["--report=run/model.safetensors"], "it is one of the inputs"),
        (&["--report=missing/page.html"], "there is no folder missing; make it first"),
    ] {
        let output = sandbox.pkdgan(&["score", "run", "new/copy.png", "--quiet"]).args(flags).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{flags:?}");
        assert!(stderr(&output).contains(said), "{flags:?}: {}", stderr(&output));
        assert_eq!(output.stdout, b"", "{flags:?}: it is refused before anything is scored");
    }
    assert!(!sandbox.path("a.csv").exists());
}
