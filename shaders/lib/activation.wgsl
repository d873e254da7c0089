// Every nonlinearity and its derivative, as src/activation.rs defines them: NaN of NaN, the limits at
// the infinities, its side of each kink. The codes are those of `Activation::code`; a nonlinearity's
// case is its whole definition here. With the code a constant, a driver keeps one case.
const ACTIVATION_IDENTITY = 0u;
const ACTIVATION_SIGMOID = 1u;
const ACTIVATION_TANH = 2u;
const ACTIVATION_RELU = 3u;
const ACTIVATION_LEAKY_RELU = 4u;
const ACTIVATION_ELU = 5u;
const ACTIVATION_SELU = 6u;
const ACTIVATION_GELU = 7u;
const ACTIVATION_GELU_TANH = 8u;
const ACTIVATION_SILU = 9u;
const ACTIVATION_SOFTPLUS = 10u;
const ACTIVATION_SOFTSIGN = 11u;
const ACTIVATION_MISH = 12u;
const ACTIVATION_HARD_TANH = 13u;
const ACTIVATION_HARD_SIGMOID = 14u;
const ACTIVATION_HARD_SWISH = 15u;
const ACTIVATION_RELU6 = 16u;
const ACTIVATION_SIN = 17u;
const ACTIVATION_LOG_SIGMOID = 18u;
const ACTIVATION_CUSTOM = 255u;

const SELU_SCALE = 1.0507009873554805;
const SELU_ALPHA = 1.6732632423543772;

// f(x); `parameter` is the slope of leaky ReLU, the alpha of ELU and the omega of the sine.
fn activation_value(code: u32, parameter: f32, x: f32) -> f32 {
    return select(pin(activation_value_of(code, parameter, x)), x, is_nan(x));
}

// f'(x), x being what f was given.
fn activation_derivative(code: u32, parameter: f32, x: f32) -> f32 {
    return select(activation_derivative_of(code, parameter, x), x, is_nan(x));
}

fn activation_value_of(code: u32, parameter: f32, x: f32) -> f32 {
    switch code {
        case ACTIVATION_SIGMOID: { return sigmoid_of(x); }
        case ACTIVATION_TANH: { return tanh_of(x); }
        case ACTIVATION_RELU: { return select(x, 0.0, x < 0.0); }
        case ACTIVATION_LEAKY_RELU: { return select(x, pin(parameter * x), x < 0.0); }
        case ACTIVATION_ELU: { return elu(1.0, parameter, x); }
        case ACTIVATION_SELU: { return elu(SELU_SCALE, SELU_SCALE * SELU_ALPHA, x); }
        case ACTIVATION_GELU: { return gate(x, normal_below(x)); }
        case ACTIVATION_GELU_TANH: { return gate(x, sigmoid_of(gelu_argument(x))); }
        case ACTIVATION_SILU: { return gate(x, sigmoid_of(x)); }
        case ACTIVATION_SOFTPLUS: { return pin(max(x, 0.0) + log1p_unit(exp_negative(-abs(x)))); }
        case ACTIVATION_SOFTSIGN: {
            // From 1 down where the size is above 1, so that it ends there.
            let size = min(abs(x), 1e30);
            let part = quotient(select(1.0, size, size < 1.0), pin(1.0 + size));
            let value = select(pin(1.0 - part), part, size < 1.0);
            return select(value, -value, x < 0.0);
        }
        case ACTIVATION_MISH: { return gate(x, mish_gate(exp_negative(-abs(x)), x < 0.0)); }
        case ACTIVATION_HARD_TANH: { return clamp(x, -1.0, 1.0); }
        case ACTIVATION_HARD_SIGMOID: { return hard_sigmoid(x); }
        case ACTIVATION_HARD_SWISH: { return gate(x, hard_sigmoid(x)); }
        case ACTIVATION_RELU6: { return clamp(x, 0.0, 6.0); }
        case ACTIVATION_SIN: { return unless_infinite(x, sin_of(turn(parameter, x))); }
        case ACTIVATION_LOG_SIGMOID: { return pin(min(x, 0.0) - log1p_unit(exp_negative(-abs(x)))); }
        case ACTIVATION_CUSTOM: { return custom_value(x); }
        default: { return x; }
    }
}

fn activation_derivative_of(code: u32, parameter: f32, x: f32) -> f32 {
    switch code {
        case ACTIVATION_SIGMOID: { return sigmoid_slope(x); }
        // 1 - tanh(x)^2 is 4 times the slope of the sigmoid at 2x.
        case ACTIVATION_TANH: { return pin(4.0 * sigmoid_slope(pin(2.0 * cut_far(x)))); }
        case ACTIVATION_RELU: { return select(0.0, 1.0, x > 0.0); }
        case ACTIVATION_LEAKY_RELU: { return select(parameter, 1.0, x > 0.0); }
        case ACTIVATION_ELU: { return elu_slope(1.0, parameter, x); }
        case ACTIVATION_SELU: { return elu_slope(SELU_SCALE, SELU_SCALE * SELU_ALPHA, x); }
        case ACTIVATION_GELU: { return pin(normal_below(x) + pin(cut_far(x) * normal_density(x))); }
        case ACTIVATION_GELU_TANH: {
            let argument = gelu_argument(x);
            let cut = clamp(x, -20.0, 20.0);
            let slope = pin(1.5957691 * mad(pin(0.134145 * cut), cut, 1.0));
            let bent = pin(pin(cut * slope) * sigmoid_slope(argument));
            return pin(sigmoid_of(argument) + bent);
        }
        case ACTIVATION_SILU: { return pin(sigmoid_of(x) + pin(cut_far(x) * sigmoid_slope(x))); }
        case ACTIVATION_SOFTPLUS: { return sigmoid_of(x); }
        case ACTIVATION_SOFTSIGN: {
            let inverse = min(quotient(1.0, pin(1.0 + min(abs(x), 1e30))), 1.0);
            return pin(inverse * inverse);
        }
        case ACTIVATION_MISH: {
            // The gate, and (1 - gate^2) * sigmoid(x).
            let e = exp_negative(-abs(x));
            let left = x < 0.0;
            let all = mish_whole(e, left);
            let steep = pin(pin(pin(4.0 * e) * pin(1.0 + e)) * select(e, 1.0, left));
            let slope = quotient(steep, pin(all * all));
            return pin(mish_gate(e, left) + pin(cut_far(x) * slope));
        }
        case ACTIVATION_HARD_TANH: { return select(0.0, 1.0, abs(x) < 1.0); }
        case ACTIVATION_HARD_SIGMOID: { return select(0.0, 1.0 / 6.0, abs(x) < 3.0); }
        case ACTIVATION_HARD_SWISH: {
            let cut = clamp(x, -3.0, 3.0);
            return select(select(pin(quotient(cut, 3.0) + 0.5), 0.0, x <= -3.0), 1.0, x >= 3.0);
        }
        case ACTIVATION_RELU6: { return select(0.0, 1.0, x > 0.0 && x < 6.0); }
        case ACTIVATION_SIN: { return unless_infinite(x, pin(parameter * cos_of(turn(parameter, x)))); }
        case ACTIVATION_LOG_SIGMOID: { return sigmoid_of(-x); }
        case ACTIVATION_CUSTOM: { return custom_derivative(x); }
        default: { return 1.0; }
    }
}

// x * part, and 0 where the part is: an infinite x times a part that fell to 0.
fn gate(x: f32, part: f32) -> f32 {
    return select(pin(x * part), 0.0, part == 0.0);
}

// Where every exponential here has fallen to 0, so that no infinity meets that 0.
fn cut_far(x: f32) -> f32 {
    return clamp(x, -100.0, 100.0);
}

// omega * x, which stays finite where x is.
fn turn(omega: f32, x: f32) -> f32 {
    return clamp(pin(omega * x), -3e38, 3e38);
}

fn elu(right: f32, left: f32, x: f32) -> f32 {
    return select(pin(right * x), pin(left * expm1_negative(min(x, 0.0))), x < 0.0);
}

fn elu_slope(right: f32, left: f32, x: f32) -> f32 {
    return select(pin(left * exp_negative(min(x, 0.0))), right, x > 0.0);
}

// 0 and 1 at the flat ends, and between them inside, whatever a sixth is rounded to.
fn hard_sigmoid(x: f32) -> f32 {
    let part = quotient(pin(clamp(x, -3.0, 3.0) + 3.0), 6.0);
    return select(min(part, 1.0), 1.0, x >= 3.0);
}

// e^2 + 2e + 2 of e = exp(x); right of 0, where e is exp(-x), that times e^2.
fn mish_whole(e: f32, left: bool) -> f32 {
    let twice = pin(2.0 * e);
    let rest = select(pin(1.0 + twice), pin(e * pin(e + 2.0)), left);
    return pin(rest + select(pin(twice * e), 2.0, left));
}

// Mish's gate, tanh(ln(1 + exp(x))) = (e^2 + 2e) / (e^2 + 2e + 2); from 1 down right of 0.
fn mish_gate(e: f32, left: bool) -> f32 {
    let rest = select(pin(pin(2.0 * e) * e), pin(e * pin(e + 2.0)), left);
    let part = quotient(rest, mish_whole(e, left));
    return select(pin(1.0 - part), part, left);
}

// (1 + tanh u) / 2 is the sigmoid of this, 2u.
fn gelu_argument(x: f32) -> f32 {
    let cut = clamp(x, -20.0, 20.0);
    return pin(pin(1.5957691 * cut) * mad(pin(0.044715 * cut), cut, 1.0));
}
