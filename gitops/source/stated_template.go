package source

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
)

// machineTemplates are the endings of templates in which people keep the
// configuration of their machines: talosctl is fed from them.
var machineTemplates = []string{".j2", ".jinja", ".jinja2", ".tmpl", ".gotmpl", ".tpl"}

func isMachineTemplate(file string) bool {
	return slices.Contains(machineTemplates, strings.ToLower(path.Ext(file)))
}

var (
	opens  = regexp.MustCompile(`\{\{-?\s*(?:if|range|with|define|block)\b|\{%[-+]?\s*(?:if|for|macro|call|filter|raw|block)\b`)
	closes = regexp.MustCompile(`\{\{-?\s*end\b|\{%[-+]?\s*end[a-z]+\b`)
	inline = regexp.MustCompile(`\{\{.*?\}\}`)
	tag    = regexp.MustCompile(`\{%.*?%\}|\{#.*?#\}`)
)

// expression stands for a template's expression in what is read of it.
const expression = "a-template-expression"

// withoutTemplate is a template as plain YAML, line by line: what stands under a
// condition or in a loop is left out, an expression becomes a word that is no
// range, and all lines keep their numbers.
func withoutTemplate(src []byte) []byte {
	lines := bytes.Split(src, []byte("\n"))
	depth := 0
	for i, line := range lines {
		text := string(line)
		began, ended := len(opens.FindAllString(text, -1)), len(closes.FindAllString(text, -1))
		hidden := depth > 0 || began > 0 || ended > 0
		if depth += began - ended; depth < 0 {
			depth = 0
		}
		bare := strings.TrimSpace(inline.ReplaceAllString(tag.ReplaceAllString(text, ""), ""))
		if hidden || bare == "" {
			lines[i] = nil
			continue
		}
		lines[i] = []byte(tag.ReplaceAllString(inline.ReplaceAllString(text, expression), ""))
	}
	return bytes.Join(lines, []byte("\n"))
}

// statedByTemplate is what a template of a machine's configuration states in
// plain sight. Variables are no matter of it.
func (t *tree) statedByTemplate(file string) []StatedFact {
	src, err := t.read(file)
	if err != nil || isArchive(file) || !bytes.Contains(src, []byte("Subnets")) {
		return nil
	}
	var facts []StatedFact
	for _, part := range documentsOf(withoutTemplate(src)) {
		docs, err := parse(file, part)
		if err != nil {
			continue
		}
		for _, d := range docs {
			for _, f := range statedIn(d) {
				if f.From == talosConfig {
					facts = append(facts, f)
				}
			}
		}
	}
	return facts
}

// documentsOf cuts a text at its document markers, so that one document that
// does not parse does not hide the next. Lines keep their numbers.
func documentsOf(src []byte) [][]byte {
	var out [][]byte
	var at []byte
	before := 0
	for i, line := range bytes.Split(src, []byte("\n")) {
		if bytes.HasPrefix(line, []byte("---")) {
			out = append(out, at)
			at, before = bytes.Repeat([]byte("\n"), i), i
		}
		if i > before {
			at = append(at, '\n')
		}
		at = append(at, line...)
	}
	return append(out, at)
}
