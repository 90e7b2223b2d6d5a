//! Results of a grid: the file, the tables, the studies and their plots.

use std::fs;

use pkdgan::config::Statistics;
use pkdgan::data::Dataset;
use pkdgan::unstable::results::{
    Baselines, BatchSizeStudy, Budget, CompressionStudy, ConstraintStudy, Gain, Panel, Point, ResultsError, Row, Rows,
    ScoreStudy, Series, StructureStudy, Study, Summary, Table, class_names, published, svg,
};
use tempfile::TempDir;

fn row(network: &str, structure: &str, normal: u8, seed: u64, auroc: f64) -> Row {
    Row {
        dataset: Dataset::Mnist,
        normal,
        network: network.into(),
        structure: structure.into(),
        seed,
        steps: 1_500,
        batch_size: 8,
        auroc,
        average_precision: 0.99,
        reconstruction_auroc_l1: auroc - 0.05,
        reconstruction_auroc_l2: auroc - 0.04,
        macs: if network.starts_with("student") { 86_016 } else { 29_300_000 },
        params: if network.starts_with("student") { 20_000 } else { 1_500_000 },
        seconds: 12.5,
        adapter: "llvmpipe".into(),
        version: "0.1.0".into(),
        build: String::new(),
        reconstruction_ratio: Some(0.25),
        reconstructs: Some(true),
        latents: "unit-rms".into(),
        statistics: Some(Statistics::Running),
    }
}

fn rows(all: impl IntoIterator<Item = Row>) -> Rows {
    let mut rows = Rows::default();
    all.into_iter().for_each(|row| rows.insert(row).unwrap());
    rows
}

/// Two classes and two seeds of a student with and without a teacher.
fn students() -> Vec<Row> {
    vec![
        row("student-alone", "", 0, 0, 0.90),
        row("student-alone", "", 0, 1, 0.92),
        row("student-alone", "", 4, 0, 0.80),
        row("student-alone", "", 4, 1, 0.84),
        row("student", "1+4", 0, 0, 0.93),
        row("student", "1+4", 0, 1, 0.93),
        row("student", "1+4", 4, 0, 0.84),
        row("student", "1+4", 4, 1, 0.86),
    ]
}

/// The cells of a line of a Markdown table, the one that begins with `title`.
fn cells(text: &str, title: &str) -> Vec<String> {
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().into()).collect::<Vec<String>>();
    let found = text.lines().filter(|line| line.starts_with('|')).map(cells).find(|cells| cells[0] == title);
    found.unwrap_or_else(|| panic!("no line `{title}` in\n{text}"))
}

#[test]
fn rows_read_back_in_a_fixed_order() {
    let folder = TempDir::new().unwrap();
    let (path, other) = (folder.path().join("runs.csv"), folder.path().join("other.csv"));
    let mut all = students();
    all.push(row("teacher", "", 4, 0, 0.1 + 0.2));
    all.push(Row { dataset: Dataset::FashionMnist, ..row("teacher", "", 0, 0, 0.9) });
    let forwards = rows(all.clone());
    let backwards = rows(all.into_iter().rev());
    forwards.write(&path).unwrap();
    backwards.write(&other).unwrap();
    assert_eq!(fs::read(&path).unwrap(), fs::read(&other).unwrap());
    assert_eq!(Rows::read(&path).unwrap(), forwards);

    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[0],
        "dataset,normal,network,structure,seed,steps,batch_size,auroc,average_precision,reconstruction_auroc_l1,\
         reconstruction_auroc_l2,macs,params,seconds,adapter,version,build,reconstruction_ratio,reconstructs,latents,\
         statistics"
    );
    assert!(lines[1].starts_with("mnist,0,student-alone,,0,1500,8,0.9,0.99,"), "{text}");
    assert!(lines[3].starts_with("mnist,0,student,1+4,0,"), "{text}");
    assert!(lines[5].starts_with("mnist,4,teacher,,0,1500,8,0.30000000000000004,"), "{text}");
    assert!(lines[10].starts_with("fashion-mnist,0,teacher,"), "{text}");
}

#[test]
fn a_newer_row_replaces_and_one_with_another_budget_does_not() {
    let mut rows = rows(students());
    rows.insert(row("student", "1+4", 4, 1, 0.5)).unwrap();
    assert_eq!(rows.len(), 8);
    let longer = Row { steps: 3_000, ..row("student", "1+4", 4, 1, 0.6) };
    rows.insert(longer.clone()).unwrap();
    assert_eq!(rows.len(), 9);
    assert_eq!(rows.get(&longer.key()), Some(&longer));
    assert_eq!(rows.get(&row("student", "1+4", 4, 1, 0.0).key()).unwrap().auroc, 0.5);
    assert!(rows.get(&row("student", "1+3", 4, 1, 0.0).key()).is_none());
}

#[test]
fn rows_that_are_no_results_are_refused() {
    let mut rows = Rows::default();
    for (row, part) in [
        (row("teacher", "", 3, 7, f64::NAN), "mnist class 3, teacher, seed 7: `auroc` is NaN"),
        (row("critic", "", 3, 0, 0.9), "`network` is `critic`"),
        (row("teacher", "", 10, 0, 0.9), "`normal` is 10"),
        (Row { batch_size: 0, ..row("teacher", "", 0, 0, 0.9) }, "batch size 0"),
        (Row { seconds: f64::INFINITY, ..row("teacher", "", 0, 0, 0.9) }, "`seconds` is inf"),
    ] {
        let message = rows.insert(row).unwrap_err().to_string();
        assert!(message.contains(part) && !message.contains('\n'), "{message}");
    }
    assert!(rows.is_empty());
}

#[test]
fn a_damaged_file_is_refused_by_line_and_column() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("runs.csv");
    rows(students()).write(&path).unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    let third = whole.lines().nth(2).unwrap().to_owned();
    for (text, part) in [
        (String::new(), "line 1: the header"),
        (whole.replace("average_precision", "ap"), "line 1: the header"),
        (whole.replacen(&third, "mnist,0,student", 1), "line 3: 3 columns instead of 21"),
        (whole.replacen(&third, &third.replace("1500", "many"), 1), "line 3: `steps`: "),
        (whole.replacen(&third, &third.replace("0.92", "NaN"), 1), "line 3: `auroc` is NaN"),
        (whole.replacen(&third, &third.replace("0.92", "92"), 1), "line 3: `auroc` is 92"),
        (whole.replacen(&third, &third.replace("mnist", "minst"), 1), "line 3: `"),
        (whole.replacen(&third, &third.replace("student-alone", "pupil"), 1), "line 3: `network` is `pupil`"),
        (format!("{whole}{third}\n"), "line 10: the same run as a line above"),
    ] {
        fs::write(&path, text).unwrap();
        let message = Rows::read(&path).unwrap_err().to_string();
        assert!(message.contains("runs.csv: ") && message.contains(part) && !message.contains('\n'), "{message}");
        assert!(Rows::resume(&path).is_err());
    }
    let nowhere = folder.path().join("none.csv");
    assert!(matches!(Rows::read(&nowhere), Err(ResultsError::Read { .. })));
    assert!(Rows::resume(&nowhere).unwrap().is_empty());
}

#[test]
fn means_and_their_scatter() {
    assert_eq!(Summary::of([]), None);
    assert_eq!(Summary::of([3.0]), Some(Summary { mean: 3.0, sd: None, n: 1 }));
    // Squares 4 + 0 + 4 over 2.
    assert_eq!(Summary::of([1.0, 3.0, 5.0]), Some(Summary { mean: 3.0, sd: Some(2.0), n: 3 }));
    // Classes -2, 2, 2 and the mean of 1 and 3. Deviations -3, 1, 1, 1: squares 12 over 3, root 2, over the root of 4,
    // times 3.182 for 3 degrees of freedom.
    let gain = Gain::of([(0, -2.0), (4, 2.0), (5, 2.0), (7, 1.0), (7, 3.0)]);
    assert_eq!(gain, Some(Gain { mean: 1.0, half_width: Some(3.182), classes: 4, pairs: 5 }));
    let gain = Gain::of([(3, 1.0), (3, 2.0)]);
    assert_eq!(gain, Some(Gain { mean: 1.5, half_width: None, classes: 1, pairs: 2 }));
    assert_eq!(Gain::of([]), None);
}

#[test]
fn the_table_holds_means_scatter_gains_and_ratios() {
    let mut all = students();
    all.push(row("teacher", "", 4, 0, 0.95));
    let rows = rows(all);
    let text = Table::new(&rows).markdown();
    let header = cells(&text, "normal class");
    let papers = ["P-KDGAN student", "P-KDGAN teacher, best value", "OCGAN", "Deep SVDD"];
    assert_eq!(header[1..], [["teacher", "student-alone", "student (1+4)"].as_slice(), &papers].concat());

    // Half a difference of 2 points, times the root of 2; of 4, likewise.
    let class = cells(&text, "0");
    assert_eq!(class[1..], ["–", "91.00 ± 1.41, n 2", "93.00 ± 0.00, n 2", "–", "–", "99.8", "98.0"]);
    let class = cells(&text, "4");
    assert_eq!(class[1..], ["95.00, n 1", "82.00 ± 2.83, n 2", "85.00 ± 1.41, n 2", "–", "–", "97.5", "94.9"]);
    // Seeds: 85 and 88; 88.5 and 89.5. The papers: (99.8 + 97.5) / 2 = 98.65, (98.0 + 94.9) / 2 = 96.45.
    let mean = cells(&text, "mean of classes 0, 4");
    assert_eq!(mean[1..4], ["–", "86.50 ± 2.12, n 2", "89.00 ± 0.71, n 2"]);
    assert_eq!(mean[4..6], ["–", "–"]);
    let mean = cells(&text, "mean of class 4");
    assert_eq!(mean[1..4], ["95.00, n 1", "82.00 ± 2.83, n 2", "85.00 ± 1.41, n 2"]);
    // Differences 3 and 1, 4 and 2: means 2 and 3, standard error 0.5, times 12.706.
    let gain = cells(&text, "gain over student-alone, points (95 % interval)");
    assert_eq!(gain[1..], ["–", "–", "+2.50 (-3.85 to +8.85), 4 pairs", "+1.77", "–", "–", "–"]);
    let macs = cells(&text, "MACs (teacher's to these)");
    assert_eq!(macs[1..5], ["29,300,000", "86,016 (340.6:1)", "86,016 (340.6:1)", "311.11:1"]);
    assert_eq!(cells(&text, "parameters (likewise)")[2], "20,000 (75.0:1)");
    assert_eq!(cells(&text, "steps x batch size")[1..4], ["1,500 x 8", "1,500 x 8", "1,500 in all, the last x 8"]);
    assert!(text.contains("last step") && text.contains("official test set"), "{text}");
    assert!(text.contains("Adapters: llvmpipe. Version: 0.1.0."), "{text}");
}

#[test]
fn runs_that_do_not_reconstruct_are_marked() {
    let mut all = students();
    let plain = Table::new(&rows(all.clone())).markdown();
    assert!(!plain.contains('†') && cells(&plain, "runs that reconstruct")[1..3] == ["4 of 4", "4 of 4"], "{plain}");
    all[2].reconstructs = Some(false);
    let marked = rows(all.clone());
    let text = Table::new(&marked).markdown();
    assert_eq!(cells(&text, "0")[1..3], ["91.00 ± 1.41, n 2", "93.00 ± 0.00, n 2"]);
    assert_eq!(cells(&text, "4")[1..3], ["82.00 ± 2.83, n 2 †", "85.00 ± 1.41, n 2"]);
    assert_eq!(cells(&text, "mean of classes 0, 4")[1..3], ["86.50 ± 2.12, n 2 †", "89.00 ± 0.71, n 2"]);
    assert_eq!(cells(&text, "runs that reconstruct")[1..3], ["3 of 4", "4 of 4"]);
    assert!(text.contains("† Some of these runs do not reconstruct"), "{text}");
    let study = ScoreStudy::new(&marked).markdown();
    assert_eq!(cells(&study, "4 †")[1], "82.00 ± 2.83, n 2");
    assert_eq!(study.matches("† Some").count(), 1);
    let study = CompressionStudy::new(&marked).markdown();
    assert_eq!(cells(&study, "86,016")[3..5], ["86.50 ± 2.12, n 2 †", "89.00 ± 0.71, n 2"]);
    assert_eq!(study.matches("† Some").count(), 1);
    let study = StructureStudy::new(&marked).markdown();
    assert!(study.contains("The student alone: 86.50 ± 2.12, n 2 †.") && study.contains("† Some"), "{study}");
    assert_eq!(cells(&study, "1+4")[1], "89.00 ± 0.71, n 2");
    let mut teachers = batch_sizes().iter().cloned().collect::<Vec<_>>();
    let bad = teachers.iter_mut().find(|row| (row.batch_size, row.steps) == (1, 12_000)).unwrap();
    bad.reconstructs = Some(false);
    let study = BatchSizeStudy::new(&rows(teachers), Budget { images_seen: 12_000, steps: 1_500 }).markdown();
    assert_eq!(cells(&study, "1")[1..4], ["95.30 ± 0.42, n 2 †", "12,000", "91.30 ± 0.42, n 2"]);
    assert_eq!(study.matches("† Some").count(), 1);

    // Earlier versions did not say.
    let unknown = all.into_iter().map(|row| Row { reconstruction_ratio: None, reconstructs: None, ..row });
    let text = Table::new(&rows(unknown)).markdown();
    assert!(!text.contains('†') && !text.contains("runs that reconstruct"), "{text}");
}

#[test]
fn rows_of_version_0_1_still_load() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("runs.csv");
    let unknown = students().into_iter().map(|row| Row {
        reconstruction_ratio: None,
        reconstructs: None,
        statistics: None,
        ..row
    });
    let unknown = rows(unknown);
    unknown.write(&path).unwrap();
    assert_eq!(Rows::read(&path).unwrap(), unknown);
    let text = fs::read_to_string(&path).unwrap();
    let old: String = text.lines().map(|line| line.rsplitn(6, ',').last().unwrap().to_owned() + "\n").collect();
    assert!(old.lines().next().unwrap().ends_with(",adapter,version"), "{old}");
    fs::write(&path, old).unwrap();
    assert_eq!(Rows::read(&path).unwrap(), unknown);
}

#[test]
fn classes_that_were_not_run_are_said() {
    let few = rows(students());
    let text = Table::new(&few).markdown();
    assert!(text.contains("Not all ten classes were run; the papers' means are over all ten."), "{text}");
    let published = cells(&text, "mean of ten classes");
    assert_eq!(published[1..], ["–", "–", "97.25", "97.80", "97.5", "94.8"]);

    let all = rows((0..10).map(|normal| row("teacher", "", normal, 0, 0.90 + 0.01 * f64::from(normal))));
    let text = Table::new(&all).markdown();
    assert!(!text.contains("Not all"), "{text}");
    // 90 to 99 in steps of 1.
    assert_eq!(cells(&text, "mean of ten classes")[1..], ["94.50, n 1", "97.25", "97.80", "97.5", "94.8"]);

    let fashion = rows([Row { dataset: Dataset::FashionMnist, ..row("teacher", "", 1, 0, 0.9) }]);
    let text = Table::new(&fashion).markdown();
    assert_eq!(cells(&text, "1 trouser")[1..], ["90.00, n 1", "–"]);
    assert_eq!(cells(&text, "mean of ten classes")[1..], ["–", "92.93"]);
    assert!(Table::new(&Rows::default()).markdown().contains("Adapters: –"));
}

#[test]
fn simple_detectors_stand_beside_the_papers() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("baselines.csv");
    assert_eq!(Baselines::read(&path).unwrap(), Baselines::default());
    let header = "dataset,normal,method,seed,auroc,seconds,scikit_learn\n";
    let forest = "mnist,0,isolation-forest,0,0.9,1.0,1.9.1\nmnist,0,isolation-forest,1,0.8,1.0,1.9.1\n";
    let lines = "mnist,0,pca,0,0.5,1.0,1.9.1\nmnist,4,pca,0,0.7,1.0,1.9.1\ncifar-10,4,pca,0,0.6,1.0,1.9.1\n";
    fs::write(&path, format!("{header}{forest}{lines}")).unwrap();
    let few = rows(students());
    let table = Table::new(&few).with_baselines(&Baselines::read(&path).unwrap());
    let text = table.markdown();
    assert_eq!(cells(&text, "normal class")[7..], ["isolation-forest", "pca"]);
    assert_eq!(cells(&text, "0")[7..], ["85.00", "50.00"]);
    assert_eq!(cells(&text, "4")[7..], ["–", "70.00"]);
    assert_eq!(cells(&text, "mean of classes 0, 4")[7..], ["–", "60.00"]);
    assert!(text.contains("Measured by benches/baselines/baselines.py: isolation-forest, pca."), "{text}");
    table.write(folder.path()).unwrap();
    let csv = fs::read_to_string(folder.path().join("table.csv")).unwrap();
    assert!(csv.contains("mnist,pca,,,,4,70.00,,,\n"), "{csv}");

    for (text, part) in [
        ("dataset,normal\n".to_owned(), "line 1: the header is not dataset,normal,method"),
        (format!("{header}mnist,10,pca,0,0.5,1.0,1.9.1\n"), "line 2: class 10"),
        (format!("{header}mnist,1,pca,0,1.5,1.0,1.9.1\n"), "line 2: class 1 with AUROC 1.5"),
        (format!("{header}{forest}mnist,1,pca,0,good,1.0,1.9.1\n"), "line 4: `auroc`: "),
    ] {
        fs::write(&path, text).unwrap();
        let message = Baselines::read(&path).unwrap_err().to_string();
        assert!(message.contains("baselines.csv: ") && message.contains(part), "{message}");
    }
}

#[test]
fn a_mean_scatters_over_the_seeds_that_ran_all_its_classes() {
    let mut all = students();
    all.push(row("student", "1+4", 0, 2, 0.99));
    let text = Table::new(&rows(all)).markdown();
    // Class 0: (93 + 93 + 99) / 3 = 95; with class 4 at 85. Seed 2 lacks class 4.
    assert_eq!(cells(&text, "mean of classes 0, 4")[2], "90.00 ± 0.71, n 2");
}

#[test]
fn networks_with_several_budgets_stand_apart() {
    let mut all = students();
    all.extend(students().into_iter().map(|row| Row { steps: 3_000, auroc: row.auroc + 0.01, ..row }));
    let text = Table::new(&rows(all)).markdown();
    let header = cells(&text, "normal class");
    assert_eq!(header[1..3], ["student-alone, 1500 x 8", "student-alone, 3000 x 8"]);
    let gain = cells(&text, "gain over student-alone, points (95 % interval)");
    assert_eq!(gain[3..5], ["+2.50 (-3.85 to +8.85), 4 pairs", "+2.50 (-3.85 to +8.85), 4 pairs"]);
}

#[test]
fn steps_of_every_stage_are_named() {
    let at = |network, structure, steps, batch_size| Row { steps, batch_size, ..row(network, structure, 0, 0, 0.9) };
    let all = [
        at("teacher", "", 1_500, 8),
        at("student-step1", "1", 8_000, 16),
        at("student-step1", "4", 7_000, 32),
        at("student", "1+4", 8_250, 8),
        at("student", "4+4", 7_250, 8),
        at("teacher-joint", "1+4", 1_750, 8),
        at("teacher-joint", "4+4", 8_750, 8),
    ];
    let budgets = |all: &[Row]| {
        let text = Table::new(&rows(all.iter().cloned())).markdown();
        let (names, budgets) = (cells(&text, "normal class"), cells(&text, "steps x batch size"));
        names.into_iter().zip(budgets).skip(1).filter(|(_, budget)| budget != "–").collect::<Vec<_>>()
    };
    let pair = |name: &str, budget: &str| (name.to_owned(), budget.to_owned());
    let expected = [
        pair("teacher", "1,500 x 8"),
        pair("student-step1 (1)", "8,000 x 16"),
        pair("student-step1 (4)", "7,000 x 32"),
        pair("student (1+4)", "8,000 x 16 + 250 x 8"),
        pair("student (4+4)", "7,000 x 32 + 250 x 8"),
        pair("teacher-joint (1+4)", "1,500 x 8 + 250 x 8"),
        pair("teacher-joint (4+4)", "1,500 x 8 + 7,000 x 32 + 250 x 8"),
    ];
    assert_eq!(budgets(&all), expected);
    // Where nobody can say what the first stage had, nothing is made up.
    let two =
        [at("student-step1", "1", 8_000, 16), at("student-step1", "1", 4_000, 16), at("student", "1+4", 8_250, 8)];
    assert_eq!(budgets(&two)[2].1, "8,250 in all, the last x 8");
}

#[test]
fn rows_say_their_build_and_those_of_old_say_none() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("runs.csv");
    let of = |build: &str, seed| Row { build: build.into(), ..row("teacher", "", 0, seed, 0.9) };
    rows([of("0123456789ab", 0), of("ba9876543210", 1)]).write(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.lines().nth(1).unwrap().ends_with(",llvmpipe,0.1.0,0123456789ab,0.25,true,unit-rms,running"),
        "{text}"
    );
    let read = Rows::read(&path).unwrap();
    assert_eq!(read.iter().map(|row| row.build.as_str()).collect::<Vec<_>>(), ["0123456789ab", "ba9876543210"]);
    let said = Table::new(&read).markdown();
    assert!(said.contains("Version: 0.1.0 (0123456789ab), 0.1.0 (ba9876543210)."), "{said}");

    let old = text.lines().map(|line| line.rsplitn(6, ',').last().unwrap().to_owned() + "\n");
    fs::write(&path, old.collect::<String>()).unwrap();
    let mut read = Rows::read(&path).unwrap();
    assert!(read.iter().all(|row| row.build.is_empty() && row.version == "0.1.0"));
    read.insert(of("0123456789ab", 2)).unwrap();
    read.write(&path).unwrap();
    assert_eq!(Rows::read(&path).unwrap(), read);
    // The tables in the repository follow from their rows.
    let baselines = Baselines::read(std::path::Path::new("results/baselines.csv")).unwrap();
    for name in ["mnist", "fashion-mnist", "cifar-10", "mnist-batch-size-student", "mnist-constraint"] {
        let folder = std::path::Path::new("results").join(name);
        let rows = Rows::read(&folder.join("runs.csv")).unwrap();
        let table = Table::new(&rows).with_baselines(&baselines);
        assert_eq!(fs::read_to_string(folder.join("table.md")).unwrap(), table.markdown(), "{name}");
    }
}

#[test]
fn the_long_table_holds_the_same_figures() {
    let folder = TempDir::new().unwrap();
    let rows = rows(students());
    Table::new(&rows).write(folder.path()).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("table.md")).unwrap(), Table::new(&rows).markdown());
    let text = fs::read_to_string(folder.path().join("table.csv")).unwrap();
    for line in [
        "dataset,network,structure,steps,batch_size,normal,auroc_mean,auroc_sd,seeds,paper_auroc",
        "mnist,student-alone,,1500,8,0,91.0000,1.4142,2,",
        "mnist,student,1+4,1500,8,mean of 0 4,89.0000,0.7071,2,",
        "mnist,OCGAN,,,,2,,,,94.2",
        "mnist,Deep SVDD,,,,mean,,,,94.8",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}

#[test]
fn published_figures_agree_with_themselves() {
    for (method, mean) in [("OCGAN", 97.49), ("Deep SVDD", 94.8)] {
        let figures = published("mnist").find(|figures| figures.method == method).unwrap();
        let of_classes = figures.classes.unwrap().iter().sum::<f64>() / 10.0;
        assert!((of_classes - mean).abs() < 1e-9, "{method}: {of_classes}");
    }
    assert_eq!(published("cifar-10").count(), 4);
    assert!(Dataset::ALL.iter().all(|dataset| published(dataset.name()).count() > 0));
    assert!(Dataset::ALL.iter().all(|dataset| class_names(dataset.name()).is_some()));
}

/// Teachers at batch sizes 1 to 16: 12,000 images seen, and 1,500 steps. Batch size 8 is both.
fn batch_sizes() -> Rows {
    let mut all = Vec::new();
    for (place, batch_size) in [1, 2, 4, 8, 16].into_iter().enumerate() {
        for normal in [2, 5, 8] {
            for seed in [0, 1] {
                let base = row("teacher", "", normal, seed, 0.97 - 0.004 * f64::from(normal) + 0.006 * seed as f64);
                let slope = 0.004 * place as f64;
                all.push(Row { batch_size, steps: 12_000 / batch_size, auroc: base.auroc - slope, ..base.clone() });
                all.push(Row { batch_size, steps: 1_500, auroc: base.auroc - 0.04 + 2.0 * slope, ..base });
            }
        }
    }
    rows(all)
}

#[test]
fn the_study_of_structures_compares_them_on_common_classes() {
    let mut all = students();
    all.extend([0, 4].map(|class| row("teacher", "", class, 0, 0.95)));
    all.extend([0, 4].map(|class| row("teacher-joint", "1+4", class, 0, 0.96)));
    all.extend([0, 1].map(|seed| row("student", "3", 4, seed, 0.80 + 0.02 * seed as f64)));
    let rows = rows(all);
    let study = StructureStudy::new(&rows);
    let text = study.markdown();
    assert!(text.contains("## mnist, mean of class 4"), "{text}");
    // 80 and 82, for 80 and 84 of the student alone; 84 and 86.
    assert_eq!(cells(&text, "3")[1..], ["81.00 ± 1.41, n 2", "-1.00, 2 pairs", "–", "–"]);
    let joint = cells(&text, "1+4");
    assert_eq!(joint[1..4], ["85.00 ± 1.41, n 2", "+2.50 (-3.85 to +8.85), 4 pairs", "96.00, n 1"]);
    assert_eq!(joint[4], "+1.00 (+1.00 to +1.00), 2 pairs");
    assert!(
        text.contains("The student alone: 82.00 ± 2.83, n 2.") && text.contains("The teacher: 95.00, n 1."),
        "{text}"
    );
    let folder = TempDir::new().unwrap();
    study.write(folder.path()).unwrap();
    let csv = fs::read_to_string(folder.path().join("structures.csv")).unwrap();
    assert!(csv.contains("mnist,student,3,4,81.0000,1.4142,2,-1.0000,\n"), "{csv}");
    assert!(csv.contains("mnist,teacher-joint,1+4,4,96.0000,,1,1.0000,0.0000\n"), "{csv}");
    let plot = fs::read_to_string(folder.path().join("structures.svg")).unwrap();
    assert!(plot.contains("teacher after the last step") && plot.contains("1+4"), "{plot}");
    assert!(StructureStudy::new(&Rows::default()).svg().is_ok());
}

#[test]
fn the_study_of_compression_sorts_students_by_size() {
    let mut all = students();
    // A quarter of the size, a point worse.
    all.extend(students().into_iter().map(|row| Row { macs: 21_504, params: 5_000, auroc: row.auroc - 0.01, ..row }));
    all.push(row("teacher", "", 4, 0, 0.95));
    let rows = rows(all);
    let study = CompressionStudy::new(&rows);
    let text = study.markdown();
    let small = cells(&text, "21,504");
    assert_eq!(small[1..4], ["1362.5:1", "5,000", "85.50 ± 2.12, n 2"]);
    assert_eq!(small[4..], ["88.00 ± 0.71, n 2", "+2.50 (-3.85 to +8.85), 4 pairs"]);
    assert_eq!(cells(&text, "86,016")[3..5], ["86.50 ± 2.12, n 2", "89.00 ± 0.71, n 2"]);
    let folder = TempDir::new().unwrap();
    study.write(folder.path()).unwrap();
    let csv = fs::read_to_string(folder.path().join("compression.csv")).unwrap();
    assert!(csv.contains("mnist,student,1+4,21504,5000,0 4,88.0000,0.7071,2\n"), "{csv}");
    let plot = fs::read_to_string(folder.path().join("compression.svg")).unwrap();
    assert!(plot.contains("21,504") && plot.contains("student-alone"), "{plot}");

    // In the table they stand apart, each beside its own.
    let table = Table::new(&rows).markdown();
    assert_eq!(cells(&table, "normal class")[2..4], ["student-alone, 21504 MACs", "student-alone, 86016 MACs"]);
    assert_eq!(cells(&table, "gain over student-alone, points (95 % interval)")[4], "+2.50 (-3.85 to +8.85), 4 pairs");
}

#[test]
fn the_study_of_the_constraint_compares_teachers_with_the_usual_one() {
    let teacher =
        |latents: &str, class, seed, auroc| Row { latents: latents.into(), ..row("teacher", "", class, seed, auroc) };
    let spread = [(0, 0, 0.90), (0, 1, 0.92), (4, 0, 0.80), (4, 1, 0.82)];
    let of = |latents: &'static str, less: f64| {
        spread.map(|(class, seed, auroc)| teacher(latents, class, seed, auroc - less))
    };
    let mut all = [of("unit-rms", 0.0), of("none, no latent loss", 0.10), of("tanh", 0.05)].concat();
    // Of a class that the others lack, and of another network.
    all.extend([teacher("unit-rms", 7, 0, 0.5), row("student", "1", 0, 0, 0.7)]);
    all.iter_mut().filter(|row| row.latents == "tanh").for_each(|row| row.reconstructs = Some(false));
    let rows = rows(all);
    let study = ConstraintStudy::new(&rows);
    let text = study.markdown();
    assert!(text.contains("## mnist, mean of classes 0, 4\n"), "{text}");
    assert_eq!(cells(&text, "unit-rms")[1..], ["86.00 ± 1.41, n 2", "–", "81.00 ± 1.41, n 2"]);
    assert_eq!(cells(&text, "none, no latent loss")[1..3], ["76.00 ± 1.41, n 2", "-10.00 (-10.00 to -10.00), 4 pairs"]);
    assert_eq!(cells(&text, "tanh †")[1], "81.00 ± 1.41, n 2");
    assert!(text.contains("do not reconstruct"), "{text}");
    let folder = TempDir::new().unwrap();
    study.write(folder.path()).unwrap();
    let csv = fs::read_to_string(folder.path().join("constraint.csv")).unwrap();
    assert!(csv.contains("mnist,tanh,0 4,81.0000,1.4142,2,76.0000,1.4142,2,-5.0000,0.0000\n"), "{csv}");
    let plot = fs::read_to_string(folder.path().join("constraint.svg")).unwrap();
    assert!(plot.contains("none, no loss") && plot.contains("by reconstruction error"), "{plot}");
    // In the table they stand apart.
    let table = Table::new(&rows).markdown();
    assert_eq!(cells(&table, "normal class")[1..4], ["teacher", "teacher, none, no latent loss", "teacher, tanh"]);
}

#[test]
fn rows_of_files_without_the_columns_are_of_the_usual_latents_and_statistics() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("runs.csv");
    rows([row("teacher", "", 0, 0, 0.9)]).write(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.lines().next().unwrap().ends_with(",reconstructs,latents,statistics"), "{text}");
    let without = |columns: usize| -> String {
        text.lines().map(|line| line.rsplitn(columns + 1, ',').last().unwrap().to_owned() + "\n").collect()
    };
    let unsaid = Row { statistics: None, ..row("teacher", "", 0, 0, 0.9) };
    for columns in [1, 2] {
        fs::write(&path, without(columns)).unwrap();
        assert_eq!(Rows::read(&path).unwrap(), rows([unsaid.clone()]));
    }
    // The same run again takes its place; scored by other statistics it is another row.
    let mut all = Rows::read(&path).unwrap();
    all.insert(row("teacher", "", 0, 0, 0.9)).unwrap();
    assert_eq!(all, rows([row("teacher", "", 0, 0, 0.9)]));
    all.insert(Row { statistics: Some(Statistics::PerImage), ..unsaid }).unwrap();
    assert_eq!(all.len(), 2);
    let table = Table::new(&all).markdown();
    assert_eq!(cells(&table, "normal class")[1..3], ["teacher", "teacher, per-image statistics"]);
    // What is usual on CIFAR-10 is not said.
    let of_colour = |statistics| Row { dataset: Dataset::Cifar10, statistics, ..row("teacher", "", 0, 0, 0.7) };
    let mut all = rows([of_colour(None)]);
    all.insert(of_colour(Some(Statistics::PerImage))).unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(cells(&Table::new(&all).markdown(), "normal class")[1], "teacher");
}

#[test]
fn the_batch_size_study_has_a_column_for_each_kind_of_statistics() {
    let running = batch_sizes();
    let per_image = running.iter().cloned().map(|row| {
        let auroc = row.auroc - if row.batch_size == 1 { -0.01 } else { 0.01 };
        Row { auroc, statistics: Some(Statistics::PerImage), ..row }
    });
    let both = rows(running.iter().cloned().chain(per_image));
    let study = BatchSizeStudy::new(&both, Budget { images_seen: 12_000, steps: 1_500 });
    let text = study.markdown();
    assert_eq!(text.matches("## mnist, teacher, mean of classes 2, 5, 8").count(), 1, "{text}");
    let header = [
        "equal images seen, running",
        "equal images seen, per-image",
        "steps",
        "equal steps, running",
        "equal steps, per-image",
        "images seen",
    ];
    assert_eq!(cells(&text, "batch size")[1..], header);
    let [first, eighth] = ["1", "8"].map(|size| cells(&text, size));
    assert_eq!(first[1..4], ["95.30 ± 0.42, n 2", "96.30 ± 0.42, n 2", "12,000"]);
    assert_eq!(first[4..], ["91.30 ± 0.42, n 2", "92.30 ± 0.42, n 2", "1,500"]);
    assert_eq!(eighth[1..3], ["93.70 ± 0.42, n 2", "92.70 ± 0.42, n 2"]);
    let folder = TempDir::new().unwrap();
    study.write(folder.path()).unwrap();
    let table = fs::read_to_string(folder.path().join("batch-size.csv")).unwrap();
    assert_eq!(table.lines().count(), 21);
    let line = "mnist,teacher,,equal images seen,16,750,12000,2 5 8,92.7000,0.4243,2,per-image";
    assert!(table.lines().any(|found| found == line), "{table}");
    let plot = study.svg().unwrap();
    well_formed(&plot);
    assert!(plot.contains("equal steps, per-image (1,500)"), "{plot}");
}

#[test]
fn the_batch_size_study_sorts_rows_into_its_series() {
    let folder = TempDir::new().unwrap();
    let rows = batch_sizes();
    let budget = Budget { images_seen: 12_000, steps: 1_500 };
    let study = BatchSizeStudy::new(&rows, budget);
    study.write(folder.path()).unwrap();
    let text = fs::read_to_string(folder.path().join("batch-size.md")).unwrap();
    assert!(text.contains("## mnist, teacher, mean of classes 2, 5, 8"), "{text}");
    // 97 - 0.4 x 5 = 95 for seed 0 and 95.6 for seed 1.
    assert_eq!(cells(&text, "1")[1..], ["95.30 ± 0.42, n 2", "12,000", "91.30 ± 0.42, n 2", "1,500"]);
    assert_eq!(cells(&text, "8")[1..], ["93.70 ± 0.42, n 2", "1,500", "93.70 ± 0.42, n 2", "12,000"]);
    let table = fs::read_to_string(folder.path().join("batch-size.csv")).unwrap();
    assert_eq!(table.lines().count(), 11);
    for line in [
        "mnist,teacher,,equal images seen,16,750,12000,2 5 8,93.7000,0.4243,2,running",
        "mnist,teacher,,equal steps,16,1500,24000,2 5 8,94.5000,0.4243,2,running",
    ] {
        assert!(table.lines().any(|found| found == line), "{line} in\n{table}");
    }
    let plot = fs::read_to_string(folder.path().join("batch-size.svg")).unwrap();
    well_formed(&plot);
    assert!(plot.contains("equal images seen (12,000)") && plot.contains("equal steps (1,500)"));
    assert!(plot.contains("batch size, images a step (log scale)") && plot.contains("AUROC, percent"));
    assert_eq!(plot, study.svg().unwrap());
}

#[test]
fn a_batch_that_does_not_divide_the_images_still_belongs() {
    let budget = Budget { images_seen: 1_000, steps: 7 };
    assert_eq!(budget.steps_at(64), 16);
    let at = |steps, batch_size| Row { steps, batch_size, ..row("teacher", "", 0, 0, 0.9) };
    let rows = rows([at(budget.steps_at(64), 64), at(100, 10), at(50, 10), Row { normal: 1, ..at(7, 4) }]);
    let text = BatchSizeStudy::new(&rows, budget).markdown();
    assert!(text.contains("mean of no class") && text.contains("No class was run at every batch size."), "{text}");

    let text = BatchSizeStudy::new(&rows, Budget { steps: 8, ..budget }).markdown();
    assert_eq!(cells(&text, "64")[1..], ["90.00, n 1", "16", "–", "–"]);
    assert_eq!(cells(&text, "10")[2], "100");

    let text = BatchSizeStudy::new(&rows, Budget { images_seen: 1_000, steps: 50 }).markdown();
    assert_eq!(cells(&text, "10")[1..], ["90.00, n 1", "100", "90.00, n 1", "500"]);
    let text = BatchSizeStudy::new(&rows, Budget { images_seen: 64, steps: 50 }).markdown();
    assert!(text.contains("No network was run at two batch sizes."), "{text}");
}

#[test]
fn the_score_study_compares_the_scores() {
    let folder = TempDir::new().unwrap();
    let rows = rows(students());
    ScoreStudy::new(&rows).write(folder.path()).unwrap();
    let text = fs::read_to_string(folder.path().join("score.md")).unwrap();
    assert_eq!(cells(&text, "0")[1..], ["91.00 ± 1.41, n 2", "86.00 ± 1.41, n 2", "87.00 ± 1.41, n 2"]);
    let mean = cells(&text, "mean of classes 0, 4");
    assert_eq!(mean[1..], ["86.50 ± 2.12, n 2", "81.50 ± 2.12, n 2", "82.50 ± 2.12, n 2"]);
    let table = fs::read_to_string(folder.path().join("score.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 2 * 3 * 3);
    let line = "mnist,student-alone,,1500,8,reconstruction error L1,mean of 0 4,81.5000,2.1213,2";
    assert!(table.lines().any(|found| found == line), "{table}");
    let plot = fs::read_to_string(folder.path().join("score.svg")).unwrap();
    well_formed(&plot);
    for name in
        ["latent distance", "reconstruction error L1", "reconstruction error L2", "normal class", "student (1+4)"]
    {
        assert!(plot.contains(name), "{name}");
    }
}

#[test]
fn plots_hold_every_point_and_escape_their_text() {
    let points = vec![Point { x: 0.0, y: 99.5, sd: None }, Point { x: 1.0, y: 99.9, sd: Some(0.2) }];
    let panel = Panel {
        title: "a < b & c".into(),
        x_label: "x".into(),
        y_label: "y".into(),
        ticks: vec![(0.0, "zero".into()), (1.0, "one".into())],
        series: vec![Series { name: "only".into(), points }],
        lines: false,
    };
    let plot = svg(std::slice::from_ref(&panel)).unwrap();
    well_formed(&plot);
    assert!(plot.contains("a &lt; b &amp; c") && plot.contains("zero") && plot.contains("100.2"), "{plot}");
    // One in the legend.
    assert_eq!(plot.matches("<circle").count(), 3);
    // A long legend goes on in the next line.
    let long = |letter: &str| Series { name: letter.repeat(40), points: vec![] };
    let plot = svg(&[Panel { series: ["a", "b", "c"].map(long).into(), ..panel.clone() }]).unwrap();
    let places: Vec<&str> = plot.split("<circle ").skip(1).map(|circle| circle.split(" r=").next().unwrap()).collect();
    assert_eq!(places, [r#"cx="28" cy="48""#, r#"cx="404" cy="48""#, r#"cx="28" cy="72""#]);
    well_formed(&svg(&[]).unwrap());
    well_formed(&svg(&[Panel { ticks: vec![], series: vec![], ..panel }]).unwrap());
}

/// Every tag is closed, in order, and no text holds a bare `<` or `&`.
fn well_formed(text: &str) {
    let mut open = Vec::new();
    assert!(text.starts_with("<svg "));
    for piece in text.split('<').skip(1) {
        let (tag, content) = piece.split_once('>').expect("a tag that ends");
        let name = tag.trim_start_matches('/').split_whitespace().next().unwrap().trim_end_matches('/');
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(name.to_owned());
        }
        let entities = ["&lt;", "&gt;", "&amp;", "&quot;", "&apos;"];
        let bare = entities.iter().fold(content.to_owned(), |text, entity| text.replace(entity, ""));
        assert!(!bare.contains('&'), "{content}");
    }
    assert!(open.is_empty(), "{open:?}");
}
