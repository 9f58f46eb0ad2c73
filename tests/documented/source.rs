//! Types of the program as its source says them: names, documentation and what serde is told.

use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Expr, Item, Lit, LitStr, Meta, Token, Type, UseTree};

/// Every struct, enum and alias below a folder, with the file that it is in, and the names that files use.
pub struct Source {
    dir: PathBuf,
    items: Vec<(PathBuf, Item)>,
    /// A file, a name in it, and the path that it is used from.
    used: Vec<(PathBuf, String, Vec<String>)>,
}

/// A type and where it stands, so that what it names is looked for near to it.
#[derive(Clone, Copy)]
pub struct Definition<'a> {
    pub file: &'a Path,
    pub item: &'a Item,
}

impl Source {
    pub fn read(dir: &Path) -> Source {
        let mut source = Source { dir: dir.to_path_buf(), items: Vec::new(), used: Vec::new() };
        source.collect(dir);
        source
    }

    /// The type that a name stands for in a file. Of several the one that is the nearest to where the file has it from.
    pub fn find(&self, name: &str, file: &Path) -> Option<Definition<'_>> {
        let used = self.used.iter().find(|(at, used, _)| at == file && used == name);
        let near = used.map_or(file.to_path_buf(), |(_, _, path)| self.folder(path, file));
        let shared = |file: &Path| file.components().zip(near.components()).take_while(|(a, b)| a == b).count();
        let called = || self.items.iter().filter(|(_, item)| ident(item).is_some_and(|ident| ident == name));
        let (file, item) = called().max_by_key(|(file, _)| shared(file))?;
        let as_near = called().filter(|(other, _)| shared(other) == shared(file)).count();
        assert_eq!(as_near, 1, "{name} is as near to {} in {as_near} files", near.display());
        Some(Definition { file, item })
    }

    /// The folder or file, as far as it can be told, that a path of modules leads to.
    fn folder(&self, modules: &[String], file: &Path) -> PathBuf {
        modules.iter().fold(file.with_extension(""), |at, module| match module.as_str() {
            "crate" => self.dir.clone(),
            "super" if at.ends_with("mod") => at.parent().unwrap().parent().unwrap().to_path_buf(),
            "super" => at.parent().unwrap().to_path_buf(),
            module => at.join(module),
        })
    }

    fn collect(&mut self, dir: &Path) {
        let mut paths: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                self.collect(&path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
                for item in file.items {
                    match item {
                        Item::Use(item) => self.uses(&path, &item.tree, &mut Vec::new()),
                        item if ident(&item).is_some() => self.items.push((path.clone(), item)),
                        _ => {}
                    }
                }
            }
        }
    }

    fn uses(&mut self, file: &Path, tree: &UseTree, modules: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                modules.push(path.ident.to_string());
                self.uses(file, &path.tree, modules);
                modules.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.uses(file, tree, modules)),
            UseTree::Name(name) => self.used.push((file.into(), name.ident.to_string(), modules.clone())),
            UseTree::Rename(_) | UseTree::Glob(_) => {}
        }
    }
}

fn ident(item: &Item) -> Option<String> {
    match item {
        Item::Struct(item) => Some(item.ident.to_string()),
        Item::Enum(item) => Some(item.ident.to_string()),
        Item::Type(item) => Some(item.ident.to_string()),
        _ => None,
    }
}

/// The name of a type and the last that stands between its angle brackets: `Vec<u64>` is `Vec` and `u64`.
pub fn name(ty: &Type) -> (String, Option<&Type>) {
    let Type::Path(path) = ty else { panic!("a key has a type that is no name") };
    let last = path.path.segments.last().unwrap();
    let inner = match &last.arguments {
        syn::PathArguments::AngleBracketed(arguments) => {
            arguments.args.iter().rev().find_map(|argument| match argument {
                syn::GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
        }
        _ => None,
    };
    (last.ident.to_string(), inner)
}

/// The documentation of an item as one line.
pub fn docs(attributes: &[Attribute]) -> String {
    let line = |attribute: &Attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value().trim().to_string()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let text = attributes.iter().filter_map(line).collect::<Vec<_>>().join(" ");
    // Links to code are links in rustdoc only.
    text.replace("[`", "`").replace("`]", "`").trim().to_string()
}

/// What serde is told, by name; the value is empty where there is none.
pub fn serde(attributes: &[Attribute]) -> Vec<(String, String)> {
    let mut told = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        attribute
            .parse_nested_meta(|meta| {
                let value =
                    if meta.input.peek(Token![=]) { meta.value()?.parse::<LitStr>()?.value() } else { String::new() };
                told.push((meta.path.get_ident().unwrap().to_string(), value));
                Ok(())
            })
            .unwrap();
    }
    told
}

/// What serde is told of one name.
pub fn told(attributes: &[Attribute], name: &str) -> Option<String> {
    serde(attributes).into_iter().find(|(told, _)| told == name).map(|(_, value)| value)
}

/// Whether an attribute is there, such as `#[default]`.
pub fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident(name))
}

/// The word that stands for a variant in TOML, as its enum renames all of them.
pub fn word(variant: &syn::Variant, rule: Option<&str>) -> String {
    if let Some(name) = told(&variant.attrs, "rename") {
        return name;
    }
    let between = match rule {
        None => return variant.ident.to_string(),
        Some("kebab-case") => "-",
        Some("snake_case") => "_",
        Some("lowercase") => "",
        Some(other) => panic!("names in {other}"),
    };
    let mut word = String::new();
    for letter in variant.ident.to_string().chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word += between;
        }
        word.extend(letter.to_lowercase());
    }
    word
}
