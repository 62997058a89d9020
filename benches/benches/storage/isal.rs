//! Intel's ISA-L, the fastest Reed-Solomon there is for this CPU, as the limit that ours is held against.
//!
//! Loaded at run time from Debian's `libisal2`; where that is not installed the bench says so and goes on without it.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_uchar, c_void};

type Generate = unsafe extern "C" fn(*mut c_uchar, c_int, c_int);
type Invert = unsafe extern "C" fn(*mut c_uchar, *mut c_uchar, c_int) -> c_int;
type InitTables = unsafe extern "C" fn(c_int, c_int, *const c_uchar, *mut c_uchar);
type EncodeData =
    unsafe extern "C" fn(c_int, c_int, c_int, *const c_uchar, *const *const c_uchar, *const *mut c_uchar);

/// The library's entry points (`isa-l/erasure_code.h`).
#[derive(Clone, Copy)]
pub(crate) struct Isal {
    generate: Generate,
    invert: Invert,
    init_tables: InitTables,
    encode_data: EncodeData,
}

/// Multiplies pieces by a matrix whose tables were made before.
pub(crate) struct Multiplier {
    encode_data: EncodeData,
    inputs: usize,
    outputs: usize,
    tables: Vec<u8>,
}

impl Isal {
    /// `None`: not installed.
    pub(crate) fn load() -> Option<Self> {
        // SAFETY: loading runs the library's constructors, which choose its kernels; the handle is never closed, so the
        // functions stay where they are.
        let library = unsafe { libc::dlopen(c"libisal.so.2".as_ptr(), libc::RTLD_NOW) };
        if library.is_null() {
            return None;
        }
        // SAFETY: the types are those of the header of version 2.
        unsafe {
            Some(Self {
                generate: std::mem::transmute::<*mut c_void, Generate>(symbol(
                    library,
                    c"gf_gen_cauchy1_matrix",
                )?),
                invert: std::mem::transmute::<*mut c_void, Invert>(symbol(library, c"gf_invert_matrix")?),
                init_tables: std::mem::transmute::<*mut c_void, InitTables>(symbol(
                    library,
                    c"ec_init_tables",
                )?),
                encode_data: std::mem::transmute::<*mut c_void, EncodeData>(symbol(
                    library,
                    c"ec_encode_data",
                )?),
            })
        }
    }

    /// Parity from data, and `data` lost pieces from as many parity pieces (`parity` must not be fewer).
    pub(crate) fn code(&self, data: usize, parity: usize) -> (Multiplier, Multiplier) {
        assert!(parity >= data, "all data pieces come back from parity alone");
        let mut matrix = vec![0; (data + parity) * data];
        let mut inverse = vec![0; data * data];
        // SAFETY: the matrix has `data + parity` rows of `data` bytes.
        unsafe { (self.generate)(matrix.as_mut_ptr(), count(data + parity), count(data)) };
        // The last rows: those of the parity pieces that are left.
        let mut left = matrix[parity * data..].to_vec();
        // SAFETY: both are square matrices of `data` rows.
        let inverted = unsafe { (self.invert)(left.as_mut_ptr(), inverse.as_mut_ptr(), count(data)) };
        assert_eq!(inverted, 0, "every square part of a Cauchy matrix is invertible");
        (self.multiplier(data, &matrix[data * data..]), self.multiplier(data, &inverse))
    }

    fn multiplier(&self, inputs: usize, matrix: &[u8]) -> Multiplier {
        let outputs = matrix.len() / inputs;
        let mut tables = vec![0; 32 * inputs * outputs];
        // SAFETY: 32 bytes of table for each of the matrix's `outputs * inputs` bytes.
        unsafe { (self.init_tables)(count(inputs), count(outputs), matrix.as_ptr(), tables.as_mut_ptr()) };
        Multiplier { encode_data: self.encode_data, inputs, outputs, tables }
    }
}

impl Multiplier {
    /// Works through all pieces in slices of `slice_bytes`, as our own coders do.
    pub(crate) fn run(&self, slice_bytes: usize, from: &[&[u8]], to: &mut [Vec<u8>]) {
        assert!(from.len() == self.inputs && to.len() == self.outputs, "the matrix's shape");
        let bytes = from[0].len();
        assert!(from.iter().all(|piece| piece.len() == bytes) && to.iter().all(|piece| piece.len() == bytes));
        for start in (0..bytes).step_by(slice_bytes) {
            let len = slice_bytes.min(bytes - start);
            let inputs: Vec<*const u8> = from.iter().map(|piece| piece[start..].as_ptr()).collect();
            let outputs: Vec<*mut u8> = to.iter_mut().map(|piece| piece[start..].as_mut_ptr()).collect();
            // SAFETY: every pointer has `len` bytes behind it (checked above), outputs do not overlap (separate vectors),
            // and the tables are those of this shape.
            unsafe {
                (self.encode_data)(
                    count(len),
                    count(self.inputs),
                    count(self.outputs),
                    self.tables.as_ptr(),
                    inputs.as_ptr(),
                    outputs.as_ptr(),
                );
            }
        }
    }
}

fn count(number: usize) -> c_int {
    c_int::try_from(number).expect("small")
}

fn symbol(library: *mut c_void, name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the handle is open and the name ends in 0.
    let found = unsafe { libc::dlsym(library, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}
