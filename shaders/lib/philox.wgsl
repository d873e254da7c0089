// Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011). Needs Word and philox_round, which come in two
// forms with the same bits.

// Written out: a loop would be guarded by naga and counted by llvmpipe.
fn philox4x32_10(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    let weyl = vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    let start = array<Word, 4>(Word(counter.x), Word(counter.y), Word(counter.z), Word(counter.w));
    var c = philox_round(start, key);
    c = philox_round(c, key + weyl);
    c = philox_round(c, key + 2u * weyl);
    c = philox_round(c, key + 3u * weyl);
    c = philox_round(c, key + 4u * weyl);
    c = philox_round(c, key + 5u * weyl);
    c = philox_round(c, key + 6u * weyl);
    c = philox_round(c, key + 7u * weyl);
    c = philox_round(c, key + 8u * weyl);
    c = philox_round(c, key + 9u * weyl);
    return vec4<u32>(u32(c[0]), u32(c[1]), u32(c[2]), u32(c[3]));
}
