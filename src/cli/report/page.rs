use std::fmt::Write as _;

use fanin::probe::{Kind, LayerReport, RULE, Report, Run, Spread};

use super::super::chart::svg::{Figure, colors, escape, style};
use super::super::table::short;
use super::{Network, about, figures, heatmap, maps, networks, summary};

/// The whole report as one HTML file that asks nothing of a network; `command` makes it again.
pub fn html(report: &Report, command: &str) -> String {
    let mut body = String::new();
    let networks = networks(report);
    let _ = write!(
        body,
        "<a class=\"skip\" href=\"#main\">Skip to the findings</a><header><h1>Which initialization trains \
         this network?</h1><p>Each network below was made with several initializations of its weights. \
         One batch went forward through its layers, one gradient back. A signal that shrinks or grows \
         by a fixed factor at each layer is lost after enough of them; a network trains where neither \
         happens.</p></header><main id=\"main\">"
    );
    for (index, network) in networks.iter().enumerate() {
        section(&mut body, index, network);
    }
    if !report.heatmaps.is_empty() {
        body += "<section aria-labelledby=\"scales\"><h2 id=\"scales\">Every scale at once</h2>\
                 <div class=\"figures\">";
        for (map, network) in maps(report, &networks) {
            figure(&mut body, &heatmap::figure(map, network));
        }
        body += "</div></section>";
    }
    body += THEORY;
    // As a shell reads it: names of files may have lines.
    let lines: Vec<String> = command.split('\n').map(escape).collect();
    let _ = write!(
        body,
        "<section aria-labelledby=\"again\"><h2 id=\"again\">Make it again</h2><pre><code>{}</code></pre><p>Measured on {} \
         ({}), fanin {}. The weights are the same bits on every device; sums of them differ in their \
         last digits.</p></section></main>",
        lines.join("\n"),
        escape(&report.device),
        escape(&report.engine),
        env!("CARGO_PKG_VERSION"),
    );
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light \
         dark\"><title>fanin probe: {}</title><style>{}</style></head><body>{body}</body></html>\n",
        escape(&networks.first().map_or(String::new(), |network| network.title.clone())),
        css()
    )
}

fn section(body: &mut String, index: usize, network: &Network<'_>) {
    let _ = write!(
        body,
        "<section aria-labelledby=\"n{index}\"><h2 id=\"n{index}\">{}</h2><p class=\"find\">{}</p>",
        escape(&network.title),
        escape(&summary::headline(network))
    );
    let mut rows = String::new();
    for run in &network.runs {
        let verdict = &run.verdict;
        let _ = write!(
            rows,
            "<tr><th scope=\"row\"><code>{}</code></th><td class=\"v\"><span class=\"{name}\" \
             aria-hidden=\"true\">{} </span>{name}</td><td data-of=\"why\">{}</td><td data-of=\"float32\">{}</td>\
             <td data-of=\"use instead\">{}</td></tr>",
            escape(&run.init),
            summary::sign(verdict.kind),
            escape(&verdict.reason),
            escape(&or_dash(summary::limits(run))),
            escape(&or_dash(summary::instead(run, network))),
            name = verdict.kind.name(),
        );
    }
    let _ = write!(
        body,
        "<table class=\"cards\"><caption>{}</caption><thead><tr><th scope=\"col\">initialization</th><th \
         scope=\"col\">verdict</th><th scope=\"col\">why</th><th scope=\"col\">float32</th><th \
         scope=\"col\">use instead</th></tr></thead><tbody>{rows}</tbody></table><p>{}.</p>\
         <div class=\"figures\">",
        escape(&about(network)),
        escape(RULE)
    );
    for (_, picture) in figures::all(network) {
        figure(body, &picture);
    }
    *body += "</div>";
    for run in &network.runs {
        layers(body, run);
    }
    *body += "</section>";
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "–".into() } else { text }
}

fn figure(body: &mut String, figure: &Figure) {
    let _ = write!(
        body,
        "<figure>{}<figcaption>{}</figcaption></figure>",
        figure.element(),
        escape(&figure.caption)
    );
}

type Column = (&'static str, fn(&LayerReport) -> Spread, fn(&LayerReport) -> Option<f64>);

/// The numbers of a layer: their names, measured, and what the theory says.
const COLUMNS: [Column; 8] = [
    ("Var(z)", |l| l.preactivation_var, |l| l.predicted.map(|p| p.preactivation_var)),
    ("E[h]", |l| l.activation_mean, |l| l.predicted.map(|p| p.activation_mean)),
    ("Var(h)", |l| l.activation_var, |l| l.predicted.map(|p| p.activation_var)),
    ("Var(dL/dh)", |l| l.gradient_var, |l| l.predicted.map(|p| p.gradient_var)),
    ("Var(dL/dW)", |l| l.weight_gradient_var, |l| l.predicted.map(|p| p.weight_gradient_var)),
    ("cosine", |l| l.correlation, |l| l.predicted.map(|p| p.correlation)),
    ("dead", |l| l.dead, |_| None),
    ("saturated", |l| l.saturated, |_| None),
];

/// Every layer's numbers.
fn layers(body: &mut String, run: &Run) {
    let number = |value: f64| match value {
        _ if value.is_nan() => "–".to_owned(),
        _ if value.is_infinite() => "∞".to_owned(),
        value => short(value),
    };
    let head: String =
        COLUMNS.iter().map(|(name, ..)| format!("<th scope=\"col\">{name}</th>")).collect();
    let mut rows = String::new();
    for layer in &run.layers {
        let _ = write!(rows, "<tr><th scope=\"row\">{}</th>", layer.layer);
        for (_, measured, predicted) in COLUMNS {
            let _ = write!(rows, "<td>{}", number(measured(layer).mean));
            if let Some(predicted) = predicted(layer) {
                let _ = write!(rows, "<i>{}</i>", number(predicted));
            }
            rows += "</td>";
        }
        rows += "</tr>";
    }
    let predicted = run.layers.iter().any(|layer| layer.predicted.is_some());
    let below = if predicted { ", and below it <i>what the theory says</i>" } else { "" };
    let _ = write!(
        body,
        "<details><summary>Every layer of <code>{}</code></summary><table class=\"cards n\">\
         <caption>Measured, the mean over seeds{below}</caption><thead><tr><th scope=\"col\">layer</th>\
         {head}</tr></thead><tbody>{rows}</tbody></table></details>",
        escape(&run.init),
    );
}

fn css() -> String {
    let variables = |dark: bool| {
        let colors = colors(dark);
        colors.iter().map(|(name, color)| format!("--{name}:{color};")).collect::<String>()
    };
    let verdicts: String = Kind::ALL
        .iter()
        .map(|kind| {
            let color = match kind {
                Kind::Healthy => "c2",
                Kind::Vanishing => "c0",
                Kind::Exploding => "c1",
                Kind::Symmetric | Kind::Dead => "c6",
                Kind::Saturated => "c3",
            };
            format!(".{}{{color:var(--{color})}}", kind.name())
        })
        .collect();
    // What a card calls the numbers that a table has columns for.
    let cells = COLUMNS.iter().enumerate();
    let cells: String = cells
        .map(|(place, (name, ..))| {
            format!(".n td:nth-child({})::before{{content:\"{name}\"}}", place + 2)
        })
        .collect();
    format!(
        ":root{{color-scheme:light dark;{}}}@media (prefers-color-scheme:dark){{:root{{{}}}}}\
         @media print{{:root{{color-scheme:light;{}}}{PRINT}}}{}{verdicts}{RULES}\
         @media (max-width:48rem){{{CARDS}{cells}}}",
        variables(false),
        variables(true),
        variables(false),
        style(|name| format!("var(--{name})"))
    )
}

const RULES: &str = "\
body{margin:0 auto;max-width:76rem;padding:1rem .75rem 4rem;background:var(--ground);color:var(--ink);\
font:1rem/1.55 system-ui,sans-serif;overflow-wrap:break-word}h1{font-size:1.7rem;line-height:1.2}\
h2{font-size:1.3rem;margin-top:2.5rem}p,.find{max-width:52rem}\
.skip{position:absolute;left:-99rem}.skip:focus{position:static}a{color:var(--c0)}\
.find{font-size:1.15rem;font-weight:600;border-left:.3rem solid var(--c2);padding:.4rem .8rem;background:var(--panel)}\
summary:focus-visible{outline:2px solid var(--c0);outline-offset:2px}\
table{border-collapse:collapse;font-size:.92rem}caption{text-align:left;color:var(--soft);padding:.3rem 0}\
th,td{text-align:left;vertical-align:top;padding:.35rem .9rem .35rem 0;border-bottom:1px solid var(--rule)}\
.n td,.n th{text-align:right;font-variant-numeric:tabular-nums}i{font-style:normal;color:var(--soft)}\
.n i{display:block}.v{font-weight:600;white-space:nowrap}code,pre{font-family:ui-monospace,monospace;font-size:.92em}\
.cards th[scope=row],.cards td:last-child{min-width:9rem;overflow-wrap:anywhere}.n th[scope=row],.n td:last-child{min-width:0}\
pre{background:var(--panel);padding:.7rem;white-space:pre-wrap;overflow-wrap:anywhere}\
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,30rem),1fr));gap:1.5rem 2rem}\
figure{margin:0}figure svg{width:100%;max-width:44rem;height:auto;display:block}\
figcaption{color:var(--soft);font-size:.92rem;max-width:44rem}details{margin:.4rem 0}summary{cursor:pointer}";

/// Where a window is narrow, rows of tables are cards, one below the other.
const CARDS: &str = "\
.cards,.cards tbody,.cards caption{display:block}.cards thead{position:absolute;left:-99rem}\
.cards tr{display:block;padding:.5rem 0;border-bottom:1px solid var(--rule)}\
.cards th,.cards td{display:block;border:0;padding:.1rem 0;text-align:left;white-space:normal;overflow-wrap:anywhere}\
.cards td[data-of]::before{content:attr(data-of) \": \";color:var(--soft)}.n th::before{content:\"layer \"}\
.n tr{display:grid;grid-template-columns:repeat(auto-fill,minmax(6.5rem,1fr));gap:.3rem .8rem}\
.n th{grid-column:1/-1}.n td::before{display:block;color:var(--soft);font-size:.85em}";

const PRINT: &str = "\
body{max-width:none;padding:0}.skip{display:none}figure,tr,.find{break-inside:avoid}h2,caption{break-after:avoid}\
.figures{display:block}figure{margin:1rem 0}figure svg{max-width:34rem}";

const THEORY: &str = "<section aria-labelledby=\"why\"><h2 id=\"why\">Why the scale decides</h2><p>A layer \
sums <em>fan_in</em> products: <var>z</var> = &Sigma; <var>w</var><sub>j</sub> <var>h</var><sub>j</sub>. With \
independent weights of mean 0, Var(<var>z</var>) = fan_in &middot; Var(<var>w</var>) &middot; \
E[<var>h</var>&sup2;]. ReLU sets half of its inputs to 0, so E[<var>h</var>&sup2;] is half of the \
Var(<var>z</var>) before it, and a layer multiplies the variance by fan_in &middot; Var(<var>w</var>) / 2. He&rsquo;s \
Var(<var>w</var>) = 2 / fan_in makes that factor 1. Xavier&rsquo;s 2 / (fan_in + fan_out) is right for functions \
that are straight around 0, such as tanh; under ReLU it halves the variance at each layer, and fifty \
halvings are 10<sup>15</sup>. Going back, the same holds with fan_out. Equal weights are worse than \
wrong ones: units that start equal get equal gradients, and never become different.</p></section>";
