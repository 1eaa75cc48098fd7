//! The functions of a WebAssembly module in an order in which they pack well.
//!
//! Most of the page's program is generic code that was instantiated many times: a hundred
//! `Vec::from_iter`, forty `BTreeMap` rebalancings. Twins that stand side by side cost a packer
//! next to nothing; a module whose functions stand as the compiler left them has them farther
//! apart than gzip's window of 32 KB reaches. So they are sorted by their names, which is where
//! instances of one generic function agree. The names are dropped afterwards.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{CodeSection, FunctionSection, Module};
use wasmparser::{
    CodeSectionReader, CustomSectionReader, FunctionBody, FunctionSectionReader, KnownCustom, Name,
    Parser, Payload, TypeRef,
};

/// The module with its functions sorted by name, and without names.
pub(crate) fn sort_functions(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut order = Order::of(wasm).context("the page's program cannot be read")?;
    let mut module = Module::new();
    order
        .parse_core_module(&mut module, Parser::new(0), wasm)
        .map_err(|error| anyhow!("the page's program cannot be sorted: {error}"))?;
    Ok(module.finish())
}

struct Order {
    /// How many functions are imported; those keep their places.
    imported: u32,
    /// Functions of the module itself in their new order.
    sorted: Vec<u32>,
    /// The new place of each of them.
    places: Vec<u32>,
}

impl Order {
    fn of(wasm: &[u8]) -> Result<Self> {
        let (mut imported, mut sizes) = (0u32, Vec::new());
        let mut names: BTreeMap<u32, String> = BTreeMap::new();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::CodeSectionEntry(body) => sizes.push(body.range().len()),
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
        let mut sorted: Vec<u32> = (0..u32::try_from(sizes.len())?).collect();
        sorted.sort_by_key(|&own| (names.get(&(imported + own)), sizes[own as usize], own));
        let mut places = vec![0; sorted.len()];
        for (place, &own) in (0..).zip(&sorted) {
            places[own as usize] = place;
        }
        Ok(Order { imported, sorted, places })
    }
}

/// A function's name without the hash that tells instances apart: `…::h0123456789abcdef`.
fn family(name: &str) -> String {
    match name.rsplit_once("::h") {
        Some((family, hash)) if hash.bytes().all(|b| b.is_ascii_hexdigit()) => family.to_owned(),
        _ => name.to_owned(),
    }
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
        for &own in &self.sorted {
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
        for own in self.sorted.clone() {
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

    /// Functions `c`, `a` and `b` behind one import: `c` calls `a`, and the others return 1 and 2.
    fn module() -> Vec<u8> {
        let mut module = Module::new();
        let mut types = TypeSection::new();
        types.ty().function([], [wasm_encoder::ValType::I32]);
        module.section(&types);
        let mut imports = ImportSection::new();
        imports.import("env", "f", EntityType::Function(0));
        module.section(&imports);
        let mut functions = FunctionSection::new();
        (0..3).for_each(|_| _ = functions.function(0));
        module.section(&functions);
        let mut tables = TableSection::new();
        tables.table(TableType {
            element_type: RefType::FUNCREF,
            table64: false,
            minimum: 1,
            maximum: None,
            shared: false,
        });
        module.section(&tables);
        let mut exports = ExportSection::new();
        exports.export("c", ExportKind::Func, 1);
        module.section(&exports);
        let mut elements = ElementSection::new();
        elements.active(None, &ConstExpr::i32_const(0), Elements::Functions([3][..].into()));
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
        module.section(&code);
        let mut names = NameSection::new();
        let mut map = NameMap::new();
        for (index, name) in [(1, "c"), (2, "a::h0123456789abcdef"), (3, "b")] {
            map.append(index, name);
        }
        names.functions(&map);
        names.locals(&IndirectNameMap::new());
        module.section(&names);
        module.finish()
    }

    #[test]
    fn functions_are_sorted_by_name_and_whoever_means_one_still_does() {
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
        assert_eq!((exported, in_table), (Some(3), vec![2]));
    }

    #[test]
    fn names_of_one_family_are_alike() {
        assert_eq!(family("core::ptr::read::h00ff00ff00ff00ff"), "core::ptr::read");
        assert_eq!(family("<a::B as c::D>::hand"), "<a::B as c::D>::hand");
    }
}
