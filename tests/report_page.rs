//! `report.html`: that it has every part, is well-formed, needs nothing outside itself, and can be read by all.

mod command;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use command::{Sandbox, TEST, TINY, stderr};
use pkdgan::unstable::calibration::rounded_up_to;
use pkdgan::unstable::run::read_scores;
use scraper::{ElementRef, Html, Selector};

/// Most that a page may weigh, in bytes.
const MAX_BYTES: usize = 2_000_000;

struct Page {
    text: String,
    html: Html,
}

impl Page {
    fn read(sandbox: &Sandbox, path: &str) -> Self {
        let text = String::from_utf8(sandbox.read(path)).unwrap();
        assert!(text.len() < MAX_BYTES, "{path} has {} bytes", text.len());
        let html = Html::parse_document(&text);
        Self { text, html }
    }

    fn all(&self, selector: &str) -> Vec<ElementRef<'_>> {
        self.html.select(&Selector::parse(selector).unwrap()).collect()
    }

    fn texts(&self, selector: &str) -> Vec<String> {
        self.all(selector).into_iter().map(|element| element.text().collect::<String>().trim().to_owned()).collect()
    }

    /// What holds of every page.
    fn check(&self) {
        assert_eq!(self.html.errors, [""; 0], "a browser would have to mend it");
        self.check_closed();
        self.check_alone();
        self.check_for_all();
        self.check_contrast();
    }

    /// A browser mends silently what is left open: every tag that must be closed is, in order.
    fn check_closed(&self) {
        const VOID: [&str; 3] = ["meta", "img", "br"];
        let mut open: Vec<&str> = Vec::new();
        for piece in self.text.split('<').skip(1).filter(|piece| !piece.starts_with('!')) {
            let (tag, _) = piece.split_once('>').expect("a tag that ends");
            let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "closed out of order");
            } else if !tag.ends_with('/') && !VOID.contains(&name) {
                open.push(name);
            }
        }
        assert_eq!(open, [""; 0], "left open");
    }

    /// It asks for nothing outside itself.
    fn check_alone(&self) {
        for element in ["script", "link", "iframe", "object", "embed", "base", "form", "use", "image"] {
            assert!(self.all(element).is_empty(), "<{element}>");
        }
        let ids: Vec<&str> = self.all("[id]").iter().map(|element| element.attr("id").unwrap()).collect();
        assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "an id twice");
        // What is followed by hand only: within the page, and from a picture of one's own to its file.
        let files = self.all(".tiles a[href^='file:///'], .grid a[href^='file:///']").len();
        let within: Vec<&str> =
            self.all("[href]").iter().filter_map(|link| link.attr("href")?.strip_prefix('#')).collect();
        assert!(within.iter().all(|id| ids.contains(id)), "{within:?}");
        assert_eq!(self.all("[href]").len(), within.len() + files);
        for attribute in ["srcset", "action", "background", "poster", "ping", "data", "style"] {
            assert!(self.all(&format!("[{attribute}]")).is_empty(), "{attribute}=");
        }
        let css = self.texts("style").concat();
        assert!(!css.contains("url(") && !css.contains("@import"), "the style sheet loads something");
        let addresses = self.text.matches("://").count();
        assert_eq!(addresses, self.text.matches("xmlns=\"http://www.w3.org/2000/svg\"").count() + files, "an address");
        for image in self.all("[src]") {
            let file = image.attr("src").unwrap().strip_prefix("data:image/png;base64,").expect("an inline PNG");
            let picture = image::load_from_memory(&BASE64_STANDARD.decode(file).unwrap()).unwrap();
            assert!([28, 32].contains(&picture.width()) && picture.width() == picture.height());
        }
    }

    /// Those who cannot see it, or have a small screen, can use it.
    fn check_for_all(&self) {
        assert_eq!(self.all("html")[0].attr("lang"), Some("en"));
        assert!(!self.texts("title")[0].is_empty() && self.all("h1").len() == 1);
        assert!(self.all("meta[name=viewport]")[0].attr("content").unwrap().contains("device-width"));
        for image in self.all("img") {
            assert!(image.attr("alt").is_some_and(|alt| !alt.is_empty()), "{}", image.html());
        }
        for chart in self.all("svg") {
            let frame = ElementRef::wrap(chart.parent().unwrap()).unwrap();
            assert_eq!(frame.attr("role"), Some("img"));
            assert!(frame.attr("aria-label").unwrap().len() > 20);
        }
        let tables = self.all("table");
        assert!(!tables.is_empty() && self.all("table > caption").len() == tables.len());
        assert!(self.all("th").iter().all(|cell| cell.attr("scope").is_some()));
        assert!(self.all("tbody tr").iter().all(|row| row.child_elements().next().unwrap().value().name() == "th"));
        // What scrolls can be reached by the keyboard, and has a name.
        assert!(self.all(".wide").iter().all(|part| {
            part.attr("tabindex") == Some("0")
                && part.attr("role") == Some("region")
                && part.attr("aria-label").is_some()
        }));
        // Headings go down by one at a time.
        let levels: Vec<u8> = self.all("h1, h2, h3").iter().map(|head| head.value().name().as_bytes()[1]).collect();
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    }

    /// Text and lines stand out from what is behind them, by day and by night (WCAG 2: 4.5 and 3 to 1).
    fn check_contrast(&self) {
        let css = self.texts("style").concat();
        let (day, night) = css.split_once("prefers-color-scheme: dark").unwrap();
        for (theme, css) in [("light", day), ("dark", night)] {
            let colours: BTreeMap<&str, f64> = css
                .split("--")
                .skip(1)
                .filter_map(|rule| rule.split_once(": #"))
                .filter(|(name, _)| !name.contains([')', ';']))
                .map(|(name, value)| (name, luminance(value.get(..6).unwrap())))
                .collect();
            let contrast = |a: &str, b: &str| {
                let (a, b) = (colours[a], colours[b]);
                (a.max(b) + 0.05) / (a.min(b) + 0.05)
            };
            for (front, back) in [
                ("ink", "back"),
                ("soft", "back"),
                ("link", "back"),
                ("link", "card"),
                ("ink", "card"),
                ("soft", "card"),
                ("wrong", "card"),
                ("ink", "warn-back"),
            ] {
                assert!(contrast(front, back) >= 4.5, "{theme}: {front} on {back} is {:.2}", contrast(front, back));
            }
            for line in ["ink0", "ink1", "ink2", "ink3", "ink4", "ink5", "guide"] {
                assert!(contrast(line, "back") >= 3.0, "{theme}: {line} is {:.2}", contrast(line, "back"));
            }
        }
    }
}

/// Relative luminance of `rrggbb` (WCAG 2).
fn luminance(hex: &str) -> f64 {
    let part = |place: usize| {
        let value = f64::from(u8::from_str_radix(&hex[place..place + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
}

#[test]
fn a_run_ends_with_a_page_that_has_every_part() {
    let sandbox = Sandbox::new();
    let all = ["--stage=all", "--with-baseline", "--calibration=0.25", "--evaluate-every=4"];
    sandbox.train("run", &all).assert().success();
    let page = Page::read(&sandbox, "run/report.html");
    page.check();
    // Images of a data set have no files of their own.
    assert!(page.all("[href^='file:']").is_empty());

    let parts = ["Results", "Scores", "Images by score", "Reconstructions", "Training", "Networks and time"];
    let parts: Vec<_> = parts.into_iter().chain(["Machine", "Settings"]).map(str::to_owned).collect();
    assert_eq!(page.texts("h2"), parts);
    let networks = ["teacher", "student-alone", "student-step1", "teacher-joint", "student"];
    assert_eq!(page.texts("#results tbody th"), networks);
    let report = sandbox.json("run/report.json");
    assert_eq!(page.texts(".value")[0], format!("{:.4}", report["auroc"].as_f64().unwrap()));

    let figures = page.texts("figure h3");
    for figure in [
        "ROC curve",
        "Precision-recall curve",
        "Scores of the teacher",
        "Scores of the student",
        "Teacher: own losses",
        "Student by itself: own losses",
        "Distillation, step 1: distances to the teacher",
        "Distillation, step 2: the teacher's losses",
        "AUROC on the way",
    ] {
        assert!(figures.contains(&figure.to_owned()), "{figure} is not in {figures:?}");
    }
    assert_eq!(page.all("figure svg").len(), figures.len());
    let threshold = report["networks"][4]["threshold"]["threshold"].as_f64().unwrap();
    assert!(page.texts(".legend li").contains(&format!("threshold {}", rounded_up_to(threshold, 4))));

    // The ends of the ranking, in order.
    let mut scores = read_scores(&sandbox.path("run/scores.csv")).unwrap();
    scores.sort_by(|a, b| a.score.total_cmp(&b.score));
    let tiles = page.texts(".tiles .score");
    assert_eq!(tiles.len(), 2 * TEST);
    let shown = |place: usize| format!("{:.3}", scores[place].score);
    assert_eq!([&tiles[0], &tiles[TEST]], [&shown(0), &shown(TEST - 1)]);
    let alt = format!("image {}, {}, score {}", scores[0].index, scores[0].label, shown(0));
    assert_eq!(page.all(".tiles img")[0].attr("alt"), Some(alt.as_str()));

    // Three normal test images and six others, each beside what teacher and student make of it.
    assert_eq!(page.texts(".grid")[0].matches("teacher").count(), 1);
    let heads = page.texts(".grid th[scope=colgroup]");
    assert_eq!(heads, ["teacher", "student", "teacher", "student"]);
    assert_eq!(page.all(".grid img").len(), (3 + 6) * 5);
    // The grid's scores are those of the run.
    let student = page.texts(".grid tbody tr td:last-child");
    let highest = scores.iter().rev().find(|score| score.label != 8).unwrap().score;
    assert!((student[8].parse::<f32>().unwrap() - highest).abs() < 2e-3, "{highest}: {student:?}");

    assert_eq!(page.texts("#networks summary"), ["Layers of the teacher", "Layers of the student"]);
    let settings = page.texts("#settings tbody th");
    assert!(settings.contains(&"distillation.step2.steps".to_owned()), "{settings:?}");
    assert!(page.texts("#machine td").contains(&report["adapter"].as_str().unwrap().to_owned()));

    // Made anew, it is the same.
    let before = sandbox.read("run/report.html");
    sandbox.pkdgan(&["report", "run", "--out", "again.html"]).assert().success();
    assert!(sandbox.read("again.html") == before, "the page made anew differs");
    sandbox.pkdgan(&["report", "run"]).assert().success();
    assert!(sandbox.read("run/report.html") == before);
}

#[test]
fn a_page_leaves_out_what_a_run_has_not() {
    let sandbox = Sandbox::new();
    sandbox.train("run", &["--calibration=0"]).assert().success();
    let page = Page::read(&sandbox, "run/report.html");
    page.check();
    assert_eq!(page.texts(".grid th[scope=colgroup]"), ["teacher", "teacher"]);
    assert_eq!(
        page.texts("figure h3"),
        ["ROC curve", "Precision-recall curve", "Scores of the teacher", "Teacher: own losses"]
    );
    assert!(page.text.contains("No threshold is drawn"));
    // Twenty steps do not make a network that reconstructs.
    assert!(page.texts(".warning")[0].contains("Do not trust teacher yet"));

    sandbox.write("run/metrics.jsonl", b"");
    sandbox.pkdgan(&["report", "run"]).assert().success();
    let page = Page::read(&sandbox, "run/report.html");
    page.check();
    assert!(!page.texts("h2").contains(&"Training".to_owned()));
}

#[test]
fn several_runs_are_compared_in_one_page() {
    let sandbox = Sandbox::new();
    sandbox.train("a", &[]).assert().success();
    sandbox.train("b", &["--seed=1", "--stage=student"]).assert().success();
    std::fs::create_dir(sandbox.path("c")).unwrap();
    sandbox.train("c/a", &["--normal=3"]).assert().success();
    sandbox.pkdgan(&["report", "a", "b", "c/a", "--out", "all.html"]).assert().success();
    let page = Page::read(&sandbox, "all.html");
    page.check();
    // Two are called a.
    assert_eq!(page.texts("#results tbody th"), ["a", "b", "c/a"]);
    assert_eq!(page.texts("#settings tbody th"), ["data.normal", "run.stage", "training.seed"]);
    assert_eq!(page.texts("#scores h3")[2..], ["Scores of a", "Scores of b", "Scores of c/a"]);
    assert_eq!(page.texts(".grid th[scope=colgroup]")[..3], ["a", "b", "c/a"]);
    assert_eq!(page.all(".grid img").len(), (3 + 6) * 7);
    sandbox.pkdgan(&["report", "a", "b"]).assert().success();
    assert!(sandbox.list("").contains(&"comparison.html".to_owned()));
}

#[test]
fn a_page_without_its_sources_is_refused_and_the_old_one_stays() {
    let sandbox = Sandbox::new();
    sandbox.train("run", &[]).assert().success();
    let before = sandbox.read("run/report.html");
    let refused = |arguments: &[&str], parts: &[&str]| {
        let output = sandbox.pkdgan(arguments).env("XDG_CACHE_HOME", sandbox.path("none")).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = stderr(&output);
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        assert!(sandbox.read("run/report.html") == before);
    };
    std::fs::rename(sandbox.path("data"), sandbox.path("elsewhere")).unwrap();
    refused(&["report", "run"], &["run: its page shows images, which need its data set", "mnist"]);
    sandbox.pkdgan(&["report", "run", "--data-dir", "elsewhere"]).assert().success();
    std::fs::rename(sandbox.path("elsewhere"), sandbox.path("data")).unwrap();

    // Scores of images that the data set has not.
    let scores = String::from_utf8(sandbox.read("run/scores.csv")).unwrap();
    sandbox.write("run/scores.csv", scores.replace("\n3,3,", "\n3,4,").as_bytes());
    refused(&["report", "run"], &["image 3 of class 4 in scores.csv is not in the data set"]);
    std::fs::remove_file(sandbox.path("run/scores.csv")).unwrap();
    refused(&["report", "run"], &["the run lacks scores.csv"]);
}

#[test]
fn own_pictures_have_a_page_with_and_without_anomalies() {
    let sandbox = Sandbox::new();
    for (folder, count) in [("good", 30), ("bad", 5)] {
        std::fs::create_dir(sandbox.path(folder)).unwrap();
        for n in 0..count {
            let picture = image::GrayImage::from_fn(40, 30, |x, y| image::Luma([(7 * x + 3 * y + n * 11) as u8]));
            picture.save(sandbox.path(&format!("{folder}/{n:02}.png"))).unwrap();
        }
    }
    let train = |out: &str, more: &[&str]| {
        let mut command = sandbox.pkdgan(&["train", "--stage=student", "--images=good", "--out", out]);
        command.args(TINY).args(more).assert().success();
        let page = Page::read(&sandbox, &format!("{out}/report.html"));
        page.check();
        let before = sandbox.read(&format!("{out}/report.html"));
        sandbox.pkdgan(&["report", out]).assert().success();
        assert!(sandbox.read(&format!("{out}/report.html")) == before, "the page made anew differs");
        page
    };
    let page = train("alone", &[]);
    assert_eq!(page.texts("figure h3"), ["Scores of the student-alone", "Student by itself: own losses"]);
    assert!(page.texts("header p")[1].contains("There are no anomalous ones"));
    assert_eq!(page.texts(".grid caption"), ["Normal images, lowest score first"]);
    assert!(page.all(".wrong").is_empty());
    assert_eq!(page.texts("#scores td")[1], "at most 14.29 %");
    // What is found of painted defects, beside simple detectors, and every defect in pictures.
    let detectors = page.texts("#sensitivity tbody th");
    let student = ["", " by reconstruction", " by neighbour", " by features", " by combined"];
    assert_eq!(detectors[..5], student.map(|by| format!("student-alone{by}")));
    assert_eq!(detectors[5..7], ["nearest-neighbour", "pca"]);
    // By kind: what is found, where heat maps are highest, and the pictures.
    assert_eq!(detectors.len(), 7 + 10 + 7 + 10);
    assert_eq!(page.all(".painted img").len(), 10 * 6);
    // Each picture is named, and leads to its file.
    let links: Vec<&str> = page.all(".tiles a, .grid a").iter().map(|link| link.attr("href").unwrap()).collect();
    assert_eq!(links.len(), page.all(".tiles li, .grid tbody tr").len());
    let folder = sandbox.path("good").canonicalize().unwrap();
    for link in links {
        let path = std::path::Path::new(link.strip_prefix("file://").unwrap());
        assert!(path.exists() && path.starts_with(&folder), "{link}");
    }
    assert!(page.texts(".tiles a").iter().all(|name| name.ends_with(".png") && !name.contains('/')));

    let page = train("judged", &["--anomalies=bad"]);
    assert!(page.texts("figure h3").contains(&"ROC curve".to_owned()));
    assert_eq!(page.all(".grid img").len(), (6 + 5) * 3);
    let classes = page.texts(".tiles li span:not(.score)");
    assert_eq!(classes.iter().filter(|class| *class == "anomalous").count(), 2 * 5, "{classes:?}");
    sandbox.pkdgan(&["report", "alone", "judged"]).assert().success();
    let page = Page::read(&sandbox, "comparison.html");
    page.check();
    // Other pictures judge each.
    assert!(page.all(".grid").is_empty());
}
