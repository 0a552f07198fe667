package cilium

import (
	"fmt"
	"strings"
)

// RulesMarkdown is docs/startup-rules.md: every rule of [Rules], in its order.
func RulesMarkdown() string {
	var b strings.Builder
	b.WriteString("# Start-up rules\n\n" +
		"Generated from the catalogue in `detect/cilium`; do not edit.\n" +
		"Held against the starts of real agents of Cilium " + strings.Join(CheckedVersions(), ", ") + ";\n" +
		"1.16 and 1.17 are assumed to be like 1.18.\n")
	for _, section := range []struct {
		prefix, title, text string
	}{
		{"V", "Agent", "The agent prints the message and exits, unless the row says otherwise. The first refusal, in the agent's order of evaluation, is the only one it prints."},
		{"O", "Operator", "The operator reads the same ConfigMap."},
		{"W", "Silent changes", "The agent starts and does something other than the configuration says."},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| id | rule | message | keys | releases | needs | source |\n|---|---|---|---|---|---|---|\n", section.title, section.text)
		for _, r := range Rules() {
			if strings.HasPrefix(r.ID, section.prefix) {
				b.WriteString(r.markdownRow())
			}
		}
	}
	return b.String()
}

func (r Rule) markdownRow() string {
	message := "–"
	if r.Message != r.Title {
		message = "`" + cell(r.Message) + "`"
	}
	title := cell(r.Title)
	switch {
	case r.Kind == KindDatapath:
		title += " (the agent stays up, its datapath never initialises)"
	case r.Kind == KindNotice && !strings.HasPrefix(r.ID, "W"):
		title += " (starts)"
	}
	keys := make([]string, 0, len(r.Keys))
	for _, k := range r.Keys {
		if k != "" {
			keys = append(keys, "`"+k+"`")
		}
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s |\n",
		r.ID, title, message, strings.Join(keys, ", "), r.Releases(), cell(r.Needs), cell(r.Source))
}

// Releases says in words which releases have the rule.
func (r Rule) Releases() string {
	switch {
	case r.From == "" && r.Until == "":
		return "all"
	case r.From == "":
		return "before " + r.Until
	case r.Until == "":
		return "since " + r.From
	}
	return r.From + " until " + r.Until
}

// cell keeps a table cell on one line.
func cell(s string) string {
	if s == "" {
		return "–"
	}
	return strings.NewReplacer("|", "\\|", "\n", " ").Replace(s)
}
