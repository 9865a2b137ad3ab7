// What users import from `oxcart`. index.js, index.mjs, index.d.ts and index.d.mts list the same names.
export {};
