//! Paths of a picture: what of them lies in it, in no more points than can be seen.

use super::svg::at;

/// The stretches of a path between two heights.
pub fn clipped(points: &[(f64, f64)], top: f64, base: f64) -> Vec<Vec<(f64, f64)>> {
    if let [point] = points {
        return if (top..=base).contains(&point.1) { vec![vec![*point]] } else { Vec::new() };
    }
    let mut found: Vec<Vec<(f64, f64)>> = Vec::new();
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        if from.1.max(to.1) < top || from.1.min(to.1) > base {
            continue;
        }
        let end = |point: (f64, f64)| match point.1 {
            y if y < top => crossing(from, to, top),
            y if y > base => crossing(from, to, base),
            _ => point,
        };
        let (start, end) = (end(from), end(to));
        match found.last_mut().filter(|stretch| stretch.last() == Some(&start)) {
            Some(stretch) => stretch.push(end),
            None => found.push(vec![start, end]),
        }
    }
    found
}

/// Where the straight line between two points has a height.
pub fn crossing(from: (f64, f64), to: (f64, f64), height: f64) -> (f64, f64) {
    let part = ((height - from.1) / (to.1 - from.1)).clamp(0.0, 1.0);
    (from.0 + part * (to.0 - from.0), height)
}

/// A path with at most four points a pixel across: the first, the highest, the lowest, the last.
pub fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for column in points.chunk_by(|a, b| a.0.round() == b.0.round()) {
        let by = |a: &usize, b: &usize| column[*a].1.total_cmp(&column[*b].1);
        let places = || 0..column.len();
        let extremes = [places().min_by(by), places().max_by(by)];
        let mut chosen = [Some(0), extremes[0], extremes[1], Some(column.len() - 1)];
        chosen.sort_unstable();
        let mut last = None;
        for place in chosen.into_iter().flatten() {
            if last != Some(place) {
                kept.push(column[place]);
            }
            last = Some(place);
        }
    }
    kept
}

pub fn path(points: &[(f64, f64)]) -> String {
    let points = points.iter().map(|(x, y)| format!("{} {}", at(*x), at(*y)));
    format!("M{}", points.collect::<Vec<_>>().join("L"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_end_at_the_edges() {
        let points = [(0.0, 5.0), (1.0, 15.0), (2.0, 25.0), (3.0, -5.0), (4.0, 10.0)];
        assert_eq!(
            clipped(&points, 0.0, 20.0),
            [
                vec![(0.0, 5.0), (1.0, 15.0), (1.5, 20.0)],
                vec![(2.0 + 1.0 / 6.0, 20.0), (2.0 + 5.0 / 6.0, 0.0)],
                vec![(3.0 + 1.0 / 3.0, 0.0), (4.0, 10.0)]
            ]
        );
        assert!(clipped(&[(0.0, 30.0), (1.0, 21.0)], 0.0, 20.0).is_empty());
    }
}
