//! Whatever the bytes, no reader panics.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn bytes_are_refused_or_read(
        cut in 0usize..400, at in 0usize..400, byte: u8, which in 0usize..4,
    ) {
        let files = Files::new();
        let good = match which {
            0 => b"a,b,y\n1,2,red\n3,4,green\n\"5\",6,red\n".to_vec(),
            1 => npy(&[3, 2], FORTRAN, [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]),
            2 => {
                let data = [0u8; 6];
                let tensor = |rows| TensorView::new(Dtype::U8, vec![rows, 6 / rows], &data).unwrap();
                safetensors::serialize([("x", tensor(3)), ("y", tensor(6))], None).unwrap()
            }
            _ => {
                let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
                for name in ["x.npy", "y.npy"] {
                    zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
                    zip.write_all(&npy(&[2, 1], C, [1u8, 2])).unwrap();
                }
                zip.finish().unwrap().into_inner()
            }
        };
        let mut bytes = good.clone();
        let length = bytes.len();
        bytes[at % length] = byte;
        if cut < 100 {
            bytes.truncate(cut * length / 100);
        }
        let name = ["t.csv", "t.npy", "t.safetensors", "t.npz"][which];
        let path = files.write(name, &bytes);
        let target = ["y", path.to_str().unwrap(), "y", "y"][which];
        let _ = load_with(&path, Some(target), None);
        let _ = load_with(&path, None, None);
    }
}
