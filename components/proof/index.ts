export * from './facts';
export { Proof, type ProofArgs } from './proof';
export { proveNode, provePair } from './prove';
export { renderProof } from './render';
