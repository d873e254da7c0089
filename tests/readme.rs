//! The README's library example is the file that it says it is, and its recipe is one.

use fanin::recipe::Recipe;

fn block(language: &str) -> String {
    let readme = include_str!("../README.md");
    let start = readme.find(&format!("```{language}\n")).unwrap() + language.len() + 4;
    let length = readme[start..].find("```").unwrap();
    readme[start..start + length].to_owned()
}

#[test]
fn the_first_example_is_the_file() {
    let file = include_str!("../examples/first.rs");
    let code = file.find("use fanin").unwrap();
    assert_eq!(block("rust"), file[code..]);
}

#[test]
fn the_recipe_parses() {
    let recipe = Recipe::parse(&block("toml"), "README.md").unwrap();
    assert_eq!(recipe.tensors.len(), 12);
}
