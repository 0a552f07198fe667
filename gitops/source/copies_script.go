package source

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// installCommand finds the commands that install Cilium from a shell.
var installCommand = regexp.MustCompile(`(?:^|[\s;&|(@"'])((?:helm\s+(?:upgrade|install|template)|cilium\s+(?:install|upgrade))\s[^\n;|&]*)`)

// script reads the commands of a script. Its values files count, and what it
// sets itself; a script is never edited.
func (f *finder) script(src string, offset int) {
	line := 1 + offset
	for _, cmd := range joinContinued(src) {
		if m := installCommand.FindStringSubmatch(cmd.text); m != nil && !strings.HasPrefix(strings.TrimSpace(cmd.text), "#") {
			f.command(strings.Fields(m[1]), line+cmd.line)
		}
	}
}

// command is one line of shell, and how many lines stand above it.
type command struct {
	text string
	line int
}

// joinContinued joins lines that end in a backslash.
func joinContinued(src string) []command {
	var out []command
	var parts []string
	first, i := 0, 0
	for l := range strings.Lines(src) {
		if len(parts) == 0 {
			first = i
		}
		i++
		body, more := strings.CutSuffix(strings.TrimRight(l, " \t\r\n"), `\`)
		parts = append(parts, body)
		if more && len(parts) < maxContinued {
			continue
		}
		out = append(out, command{strings.Join(parts, " "), first})
		parts = nil
	}
	return append(out, command{strings.Join(parts, " "), first})
}

// command reads the arguments of helm or cilium.
func (f *finder) command(args []string, line int) {
	if args[0] == "helm" && !slices.ContainsFunc(args, func(a string) bool { return isCilium(unquote(a)) }) {
		return
	}
	set := layer{file: f.t.real(f.file), line: line, why: "it is a script"}
	var layers []layer
	eachFlag(args, func(i int, name, value string) {
		switch name {
		case "-f", "--values", "--helm-values":
			for _, v := range strings.Split(value, ",") {
				if l, ok := f.named(v); ok {
					layers = append(layers, l)
				}
			}
		case "--set", "--set-string", "--helm-set":
			k, v, _ := strings.Cut(value, "=")
			set.set(setting{path: k, value: v, line: line})
		}
	})
	f.add(CopyScript, f.place(line), append(layers, set)...)
}

// eachFlag calls do for every flag with a value; i is the argument that holds
// the value.
func eachFlag(args []string, do func(i int, name, value string)) {
	for i := 0; i < len(args); i++ {
		a := unquote(args[i])
		if !strings.HasPrefix(a, "-") {
			continue
		}
		if name, value, ok := strings.Cut(a, "="); ok && name != "-f" {
			do(i, name, unquote(value))
			continue
		}
		if i+1 < len(args) {
			i++
			do(i, a, unquote(args[i]))
		}
	}
}

func unquote(s string) string { return strings.Trim(s, `"'`) }

// taskfile reads the commands in the scalars of a Taskfile.
func (f *finder) taskfile(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "cilium") {
		offset := n.Line - 1
		if n.Style&yaml.LiteralStyle != 0 {
			offset++
		}
		f.script(n.Value, offset)
	}
	for _, c := range n.Content {
		f.taskfile(c)
	}
}

// job is a Job that runs cilium-cli in the cluster, as Talos documents it.
func (f *finder) job(d document, fr frame) {
	for _, pod := range [][]string{{"spec", "template", "spec"}, {"spec"}} {
		for _, kind := range []string{"containers", "initContainers"} {
			at := append(slices.Clone(pod), kind)
			for i, c := range items(lookup(d.node, at...)) {
				if strings.Contains(text(child(c, "image")), "cilium-cli") {
					f.jobContainer(c, fr, d, append(slices.Clone(at), "["+itoa(i)+"]"))
				}
			}
		}
	}
}

func (f *finder) jobContainer(c *yaml.Node, fr frame, d document, at []string) {
	for _, field := range []string{"command", "args"} {
		list := items(child(c, field))
		args := make([]string, len(list))
		for i, n := range list {
			args[i] = text(n)
		}
		l := layer{file: f.t.real(f.file), line: fr.lineOf(c), blocks: fr.blocks, doc: d.index, path: append(slices.Clone(at), field), why: fr.why}
		eachFlag(args, func(i int, name, value string) {
			k, v, ok := strings.Cut(value, "=")
			if name != "--set" && name != "--helm-set" || !ok {
				return
			}
			format := k + "=%s"
			if strings.HasPrefix(args[i], "--") {
				format = name + "=" + format
			}
			l.set(setting{path: k, value: v, line: fr.lineOf(list[i]), yamlPath: append(slices.Clone(l.path), "["+itoa(i)+"]"), format: format})
		})
		f.add(CopyJob, f.place(l.line), l)
	}
}
