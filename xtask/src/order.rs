//! Sorts the functions of a WebAssembly module so that they compress well, and removes duplicates.
//!
//! Most of the page's program is generic code that was instantiated many times: a hundred
//! `Vec::from_iter`, forty `BTreeMap` rebalancings. Similar functions that are adjacent compress to
//! almost nothing, but in the compiler's order they are farther apart than gzip's window of 32 KB.
//! So functions are sorted by name, since instances of one generic function have similar names. The
//! names are removed afterwards, and so are functions that are identical to another one.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{CodeSection, FunctionSection, Module};
use wasmparser::{
    CodeSectionReader, CustomSectionReader, FunctionBody, FunctionSectionReader,
    ImportSectionReader, KnownCustom, Name, Parser, Payload, TypeRef,
};

/// Returns the module with its functions sorted by name, without duplicates, and without names.
pub(crate) fn sort_functions(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut names = names(wasm).context("the page's program cannot be read")?;
    let mut module = wasm.to_vec();
    // Repeated, since callers of duplicates may become identical once these are merged.
    loop {
        let order = Order::without_twins(&module)?;
        let merged = order.kept.len() < names.len();
        names = order.kept.iter().map(|&own| names[own as usize].clone()).collect();
        module = order.encode(&module)?;
        if !merged {
            break;
        }
    }
    Order::by_name(&module, &names)?.encode(&module)
}

/// The families (see [`family`]) of a module's own functions, in their order.
fn names(wasm: &[u8]) -> Result<Vec<String>> {
    let (mut imported, mut count) = (0, 0);
    let mut names: BTreeMap<u32, String> = BTreeMap::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(section) => imported = imported_functions(section)?,
            Payload::CodeSectionStart { count: all, .. } => count = all,
            Payload::CustomSection(section) => {
                let KnownCustom::Name(section) = section.as_known() else { continue };
                for name in section {
                    let Name::Function(functions) = name? else { continue };
                    for function in functions {
                        let function = function?;
                        names.insert(function.index, family(function.name));
                    }
                }
            }
            _ => {}
        }
    }
    Ok((imported..imported + count).map(|i| names.remove(&i).unwrap_or_default()).collect())
}

fn imported_functions(section: ImportSectionReader<'_>) -> Result<u32> {
    let mut functions = 0;
    for import in section.into_imports() {
        functions += u32::from(matches!(import?.ty, TypeRef::Func(_)));
    }
    Ok(functions)
}

/// A new order of a module's own functions.
struct Order {
    /// The number of imported functions, which keep their indices.
    imported: u32,
    /// The functions that are kept, in their new order.
    kept: Vec<u32>,
    /// The new index of every function, or of the identical one that replaces it.
    places: Vec<u32>,
}

/// A module's own functions: the type of each, and its code.
type Functions<'a> = Vec<(u32, &'a [u8])>;

impl Order {
    /// The present order, with functions that are identical byte for byte merged.
    fn without_twins(wasm: &[u8]) -> Result<Self> {
        let (imported, functions) = functions(wasm)?;
        let mut known = BTreeMap::new();
        let (mut kept, mut places) = (Vec::new(), Vec::new());
        for (own, function) in (0..).zip(functions) {
            places.push(*known.entry(function).or_insert_with(|| {
                kept.push(own);
                kept.len() as u32 - 1
            }));
        }
        Ok(Order { imported, kept, places })
    }

    /// Sorted by family, and within a family by code, so that functions with a similar beginning
    /// are adjacent.
    fn by_name(wasm: &[u8], names: &[String]) -> Result<Self> {
        let (imported, functions) = functions(wasm)?;
        let mut kept: Vec<u32> = (0..u32::try_from(functions.len())?).collect();
        kept.sort_by_key(|&own| (&names[own as usize], functions[own as usize].1));
        let mut places = vec![0; kept.len()];
        for (place, &own) in (0..).zip(&kept) {
            places[own as usize] = place;
        }
        Ok(Order { imported, kept, places })
    }

    fn encode(mut self, wasm: &[u8]) -> Result<Vec<u8>> {
        let mut module = Module::new();
        self.parse_core_module(&mut module, Parser::new(0), wasm)
            .map_err(|error| anyhow!("the page's program cannot be sorted: {error}"))?;
        Ok(module.finish())
    }
}

fn functions(wasm: &[u8]) -> Result<(u32, Functions<'_>)> {
    let (mut imported, mut types, mut functions) = (0, Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(section) => imported = imported_functions(section)?,
            Payload::FunctionSection(section) => {
                types = section.into_iter().collect::<Result<Vec<u32>, _>>()?;
            }
            Payload::CodeSectionEntry(body) => {
                let kind = *types.get(functions.len()).context("code without a type")?;
                functions.push((kind, &wasm[body.range()]));
            }
            _ => {}
        }
    }
    Ok((imported, functions))
}

/// The part of a name that instances of one generic function share: without the hash
/// (`…::h0123456789abcdef`), and without the type of `<Type as Trait>::function`.
fn family(name: &str) -> String {
    let name = match name.rsplit_once("::h") {
        Some((rest, hash)) if hash.bytes().all(|b| b.is_ascii_hexdigit()) => rest,
        _ => name,
    };
    let mut depth = 0;
    for (at, byte) in name.bytes().enumerate().take_while(|_| name.starts_with('<')) {
        match byte {
            b'<' => depth += 1,
            b'>' if !name[..at].ends_with('-') => depth -= 1,
            b' ' if depth == 1 && name[at..].starts_with(" as ") => {
                return name[at + 4..].to_owned();
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    name.to_owned()
}

impl Reencode for Order {
    type Error = core::convert::Infallible;

    fn function_index(&mut self, index: u32) -> Result<u32, Error<Self::Error>> {
        let place = index.checked_sub(self.imported).and_then(|own| self.places.get(own as usize));
        Ok(place.map_or(index, |place| self.imported + place))
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        let types = section.into_iter().collect::<Result<Vec<u32>, _>>()?;
        for &own in &self.kept {
            functions.function(types[own as usize]);
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        let bodies = section.into_iter().collect::<Result<Vec<FunctionBody<'_>>, _>>()?;
        for own in self.kept.clone() {
            self.parse_function_body(code, bodies[own as usize].clone())?;
        }
        Ok(())
    }

    fn parse_custom_section(
        &mut self,
        module: &mut Module,
        section: CustomSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        if !matches!(section.as_known(), KnownCustom::Name(_)) {
            module.section(&self.custom_section(section)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{
        ConstExpr, ElementSection, Elements, ExportKind, ExportSection, Function, FunctionSection,
        ImportSection, IndirectNameMap, NameMap, NameSection, RefType, TableSection, TableType,
        TypeSection,
    };

    use super::*;
    use wasm_encoder::EntityType;

    /// A module with functions `c`, `a`, `b` and `d` after one import: `c` calls `a`, which returns
    /// 1, and the others return 2.
    fn module() -> Vec<u8> {
        let mut module = Module::new();
        let mut types = TypeSection::new();
        types.ty().function([], [wasm_encoder::ValType::I32]);
        module.section(&types);
        let mut imports = ImportSection::new();
        imports.import("env", "f", EntityType::Function(0));
        module.section(&imports);
        let mut functions = FunctionSection::new();
        (0..4).for_each(|_| _ = functions.function(0));
        module.section(&functions);
        let mut tables = TableSection::new();
        tables.table(TableType {
            element_type: RefType::FUNCREF,
            table64: false,
            minimum: 2,
            maximum: None,
            shared: false,
        });
        module.section(&tables);
        let mut exports = ExportSection::new();
        exports.export("c", ExportKind::Func, 1);
        module.section(&exports);
        let mut elements = ElementSection::new();
        elements.active(None, &ConstExpr::i32_const(0), Elements::Functions([3, 4][..].into()));
        module.section(&elements);
        let mut code = CodeSection::new();
        let body = |make: fn(&mut Function)| {
            let mut function = Function::new([]);
            make(&mut function);
            function.instructions().end();
            function
        };
        code.function(&body(|f| _ = f.instructions().call(2)));
        code.function(&body(|f| _ = f.instructions().i32_const(1)));
        code.function(&body(|f| _ = f.instructions().i32_const(2)));
        code.function(&body(|f| _ = f.instructions().i32_const(2)));
        module.section(&code);
        let mut names = NameSection::new();
        let mut map = NameMap::new();
        for (index, name) in [(1, "c"), (2, "a::h0123456789abcdef"), (3, "b"), (4, "d")] {
            map.append(index, name);
        }
        names.functions(&map);
        names.locals(&IndirectNameMap::new());
        module.section(&names);
        module.finish()
    }

    #[test]
    fn functions_are_sorted_by_name_and_references_stay_valid() {
        let sorted = sort_functions(&module()).unwrap();
        let (mut exported, mut called, mut in_table) = (None, Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(&sorted) {
            match payload.unwrap() {
                Payload::ExportSection(section) => {
                    exported = section.into_iter().next().map(|export| export.unwrap().index);
                }
                Payload::ElementSection(section) => {
                    for element in section {
                        let wasmparser::ElementItems::Functions(items) = element.unwrap().items
                        else {
                            continue;
                        };
                        in_table.extend(items.into_iter().map(Result::unwrap));
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    let first = body.get_operators_reader().unwrap().read().unwrap();
                    called.push(format!("{first:?}"));
                }
                Payload::CustomSection(section) => panic!("{} is left", section.name()),
                _ => {}
            }
        }
        assert_eq!(
            called,
            ["I32Const { value: 1 }", "I32Const { value: 2 }", "Call { function_index: 1 }"]
        );
        assert_eq!((exported, in_table), (Some(3), vec![2, 2]));
    }

    #[test]
    fn names_of_one_family_are_alike() {
        assert_eq!(family("core::ptr::read::h00ff00ff00ff00ff"), "core::ptr::read");
        assert_eq!(family("<a::B<x> as c::D>::hand"), "c::D>::hand");
        assert_eq!(family("<fn() -> a as c::D>::f"), "c::D>::f");
        assert_eq!(family("<[T]>::sort"), "<[T]>::sort");
    }
}
