// The matrices of a device's matrix units, 8 x 8.
const UNIT = 8u;

alias OfA = coop_mat8x8<f16, A>;
alias OfB = coop_mat8x8<f16, B>;
alias Sums = coop_mat8x8<f32, C>;
