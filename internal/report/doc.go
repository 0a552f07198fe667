// Package report prints plans, findings and the results of checks: text for a
// terminal, JSON, YAML, Markdown for a pull request, one-file HTML, the diff
// alone, SARIF, and the workflow commands of GitHub.
//
// Every function is a pure function of the document: no clock, no environment,
// no terminal. The caller decides on colour and width. The same document gives
// the same bytes.
//
// The strings of a document come from repositories and clusters and are not
// trusted. What acts on a terminal, on Markdown, on Mermaid or on HTML is made
// visible or escaped, and lists and texts are cut to a bound that names
// `-o json`, which has everything.
package report
