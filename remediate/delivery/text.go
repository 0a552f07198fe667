package delivery

import (
	"fmt"
	"strings"
)

// Heading of the section in a pull request.
const Heading = "Flux cannot bring this change by itself"

// never says what is not offered, and why.
const never = "Changing ConfigMap cilium-config by hand is not offered: Helm's history would not know of it, so that the next upgrade may put it back or hide it, and no agent restarts for it."

// Markdown is the section of a pull request: what is cut, and what a person can
// do. It is empty when Flux brings the commit by itself.
func Markdown(a *Assessment, steps []Step) string {
	if a.Arrives == Yes {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n| leg | works | why |\n|---|---|---|\n", inert(capital(a.Why))+".")
	for _, l := range a.Legs {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", l.Name, l.Works, cell(l.Because))
	}
	for i, s := range steps {
		fmt.Fprintf(&b, "\n**%d. %s**\n\n%s\n", i+1, s.Title, inert(s.Text))
		fenced(&b, s.Commands)
		if len(s.Undo) > 0 {
			fmt.Fprintf(&b, "\n%s\n", s.After)
			fenced(&b, s.Undo)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", never)
	return b.String()
}

func fenced(b *strings.Builder, lines []string) {
	if len(lines) == 0 {
		return
	}
	text := strings.Join(lines, "\n")
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	fmt.Fprintf(b, "\n%ssh\n%s\n%s\n", fence, text, fence)
}

// Plain is the same for a terminal.
func Plain(a *Assessment, steps []Step) string {
	var b strings.Builder
	fmt.Fprintf(&b, "arrives: %s\n%s\n", a.Arrives, clip(a.Why, 2000))
	for _, l := range a.Legs {
		fmt.Fprintf(&b, "  %-8s %s: %s\n", l.Works, l.Name, clip(l.Because, 500))
	}
	for i, s := range steps {
		fmt.Fprintf(&b, "\n%d. %s\n%s\n", i+1, s.Title, clip(s.Text, 2000))
		lines(&b, s.Commands)
		if len(s.Undo) > 0 {
			b.WriteString(s.After + "\n")
			lines(&b, s.Undo)
		}
	}
	if len(steps) > 0 {
		b.WriteString("\n" + never + "\n")
	}
	return b.String()
}

// lines are written as they are: a here-document must not be indented.
func lines(b *strings.Builder, commands []string) {
	if len(commands) > 0 {
		b.WriteString(strings.Join(commands, "\n") + "\n")
	}
}

// inert is text in which a forge finds nothing to render, mention or run.
func inert(s string) string {
	return strings.NewReplacer("<", "&lt;", "@", "&#64;", "`", "'", "[", "&#91;", "]", "&#93;", "*", `\*`, "_", `\_`, "#", "&#35;", "!", "&#33;").Replace(clip(s, 2000))
}

func cell(s string) string { return strings.ReplaceAll(inert(clip(s, 400)), "|", `\|`) }
