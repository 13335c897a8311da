use std::collections::VecDeque;

/// Finds a local minimum of a smooth function on a box by the limited-memory BFGS method with projected steps (Liu and Nocedal
/// 1989; Bertsekas 1982). `function` returns the value and writes the gradient.
pub(crate) fn minimize(
    start: Vec<f64>,
    low: f64,
    high: f64,
    steps: usize,
    mut function: impl FnMut(&[f64], &mut [f64]) -> f64,
) -> (Vec<f64>, f64) {
    const MEMORY: usize = 8;
    let size = start.len();
    let (mut x, mut gradient) = (start, vec![0.0; size]);
    let mut value = function(&x, &mut gradient);
    let mut pairs: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::new();
    for _ in 0..steps {
        let mut direction = two_loops(&gradient, &pairs);
        // Not out of the box.
        for j in 0..size {
            if (x[j] <= low && direction[j] < 0.0) || (x[j] >= high && direction[j] > 0.0) {
                direction[j] = 0.0;
            }
        }
        let slope = dot(&direction, &gradient);
        if slope > -1e-12 || !slope.is_finite() {
            if pairs.is_empty() {
                break;
            }
            pairs.clear();
            continue;
        }
        let largest = direction.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
        let mut scale = if pairs.is_empty() { (0.1 * (high - low).min(10.0) / largest).min(1.0) } else { 1.0 };
        let mut new_gradient = vec![0.0; size];
        let mut accepted = None;
        for _ in 0..20 {
            let trial: Vec<f64> = x.iter().zip(&direction).map(|(x, d)| (x + scale * d).clamp(low, high)).collect();
            let moved: f64 = trial.iter().zip(&x).zip(&gradient).map(|((new, old), g)| (new - old) * g).sum();
            let new = function(&trial, &mut new_gradient);
            if new <= value + 1e-4 * moved && new.is_finite() {
                accepted = Some((trial, new));
                break;
            }
            scale *= 0.4;
        }
        let Some((trial, new)) = accepted else { break };
        let step: Vec<f64> = trial.iter().zip(&x).map(|(a, b)| a - b).collect();
        let change: Vec<f64> = new_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&step, &change);
        if curvature > 1e-12 {
            pairs.push_back((step, change, curvature));
            if pairs.len() > MEMORY {
                pairs.pop_front();
            }
        }
        let gain = value - new;
        (x, value, gradient) = (trial, new, new_gradient);
        if gain < 1e-9 * value.abs().max(1.0) {
            break;
        }
    }
    (x, value)
}

/// Minus the inverse Hessian's estimate times the gradient.
fn two_loops(gradient: &[f64], pairs: &VecDeque<(Vec<f64>, Vec<f64>, f64)>) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut alphas = Vec::with_capacity(pairs.len());
    for (step, change, curvature) in pairs.iter().rev() {
        let alpha = dot(step, &q) / curvature;
        q.iter_mut().zip(change).for_each(|(q, y)| *q -= alpha * y);
        alphas.push(alpha);
    }
    if let Some((_, change, curvature)) = pairs.back() {
        let scale = curvature / dot(change, change);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((step, change, curvature), alpha) in pairs.iter().zip(alphas.into_iter().rev()) {
        let beta = dot(change, &q) / curvature;
        q.iter_mut().zip(step).for_each(|(q, s)| *q += (alpha - beta) * s);
    }
    q
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::minimize;

    #[test]
    fn a_valley_is_followed_to_its_end_and_a_wall_is_kept() {
        let rosenbrock = |x: &[f64], g: &mut [f64]| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            g[0] = -2.0 * a - 400.0 * x[0] * b;
            g[1] = 200.0 * b;
            a * a + 100.0 * b * b
        };
        let (x, _) = minimize(vec![-1.2, 1.0], -5.0, 5.0, 200, rosenbrock);
        assert!((x[0] - 1.0).abs() < 1e-3 && (x[1] - 1.0).abs() < 1e-3, "{x:?}");
        let (x, value) = minimize(vec![0.5, 0.5], 0.0, 1.0, 50, |x, g| {
            (g[0], g[1]) = (2.0 * (x[0] - 2.0), 2.0 * (x[1] - 0.3));
            (x[0] - 2.0).powi(2) + (x[1] - 0.3).powi(2)
        });
        assert!((x[0] - 1.0).abs() < 1e-9 && (x[1] - 0.3).abs() < 1e-4 && (value - 1.0).abs() < 1e-6, "{x:?}");
    }
}
