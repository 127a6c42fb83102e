// @ts-check
// Published gaps of low-bit models to their twins in one set-up, in nats of validation loss. For
// orientation only: other data, tokenizers and budgets than the runs here.
//   QuEST    Panferov et al. 2025 (arXiv:2502.05003), scaling runs on C4; weights of 1 and of 2 bits
//            with 16-bit activations: three values lie between
//   b1.58    Ma et al. 2024 (arXiv:2402.17764), from perplexities at 100 B tokens
//   Spectra  Kaushal et al. 2024 (arXiv:2407.12327), TriLM beside FloatLM, fitted losses

/** @typedef {{source: string, params: number, low: number, high: number}} Published */

/** @type {Published[]} */
export const PUBLISHED = [
  { source: "QuEST", params: 30.5e6, low: 0.1659, high: 0.3656 },
  { source: "QuEST", params: 49.6e6, low: 0.1607, high: 0.349 },
  { source: "QuEST", params: 102.8e6, low: 0.1499, high: 0.3449 },
  { source: "QuEST", params: 203e6, low: 0.1371, high: 0.3359 },
  { source: "Spectra TriLM", params: 99.7e6, low: 0.307, high: 0.307 },
  { source: "Spectra TriLM", params: 190e6, low: 0.273, high: 0.273 },
  { source: "Spectra TriLM", params: 390e6, low: 0.242, high: 0.242 },
  { source: "Spectra TriLM", params: 560e6, low: 0.228, high: 0.228 },
  { source: "Spectra TriLM", params: 830e6, low: 0.215, high: 0.215 },
  { source: "Spectra TriLM", params: 1.1e9, low: 0.206, high: 0.206 },
  { source: "BitNet b1.58", params: 700e6, low: 0.043, high: 0.043 },
  { source: "BitNet b1.58", params: 1.3e9, low: 0.004, high: 0.004 },
  { source: "BitNet b1.58", params: 3e9, low: -0.013, high: -0.013 },
];

/** What ternary weights at about 30 M parameters should cost by QuEST's runs. */
export const EXPECTED = { low: 0.166, high: 0.366, label: "published at 30 M: 2 bits to 1 bit (QuEST)" };
