// The matrices of a device's matrix units, 16 x 16.
const UNIT = 16u;

alias OfA = coop_mat16x16<f16, A>;
alias OfB = coop_mat16x16<f16, B>;
alias Sums = coop_mat16x16<f32, C>;
