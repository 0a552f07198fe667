// Package edit changes YAML text and nothing around it, or refuses.
//
// A change is spliced into the bytes at the position of the node it concerns.
// The result is parsed again and compared with the tree that was intended; on
// any difference the edit is refused. So comments, blank lines, quoting, line
// endings and the order of keys stay as their author left them, and a mistake
// in locating a node costs an error, never a damaged file.
//
// Use [Apply] for a file, [ApplyBlock] for YAML held in a block scalar of a
// file (a ConfigMap's data."values.yaml"), [ApplyNested] for a block in a block,
// [ApplyEnv] for an env file of a kustomize generator, [Position] to point at a
// value, and [Diff] to show the result. [Inspect] is the guard that every reader
// of an untrusted file runs first.
//
// # Paths
//
// A path is a list of segments: mapping keys as they are, and the index of a
// sequence item in brackets, "[0]". An index equal to the length of the
// sequence appends. [ParsePath] reads the dotted form.
//
// # What is refused
//
// Each refusal is an [*Error] with the line, wrapping one of the Err values:
// templates, SOPS-encrypted files, duplicate keys, edits that an alias would
// carry elsewhere (unless the [Change] is Shared), documents too large or too
// deep. Errors name keys and anchors, never values.
package edit
