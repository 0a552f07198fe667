// Command openapi prunes an OpenAPI 3 description to some operations and all
// that they reach, without texts and examples, and prints it:
//
//	go run ./openapi OPERATIONS FULL.json > PRUNED.json
//
// OPERATIONS has one "METHOD PATH" a line, the path as the description writes
// it; "#" starts a comment. Pruning a pruned description changes nothing.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

type object = map[string]any

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: openapi OPERATIONS FULL.json > PRUNED.json")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

func run(operations, description string, out io.Writer) error {
	list, err := os.ReadFile(operations)
	if err != nil {
		return err
	}
	full, err := os.ReadFile(description)
	if err != nil {
		return err
	}
	var doc object
	if err := json.Unmarshal(full, &doc); err != nil {
		return fmt.Errorf("%s: %w", description, err)
	}
	pruned, err := prune(doc, list)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(pruned)
}

// prune gives a description of the listed operations only.
func prune(doc object, list []byte) (object, error) {
	paths, err := pick(child(doc, "paths"), list)
	if err != nil {
		return nil, err
	}
	out := object{"openapi": doc["openapi"], "info": doc["info"], "servers": doc["servers"], "paths": paths}
	r := reach{doc: doc, components: object{}}
	if err := r.follow(strip(paths, false)); err != nil {
		return nil, err
	}
	out["paths"] = strip(paths, false)
	out["components"] = r.components
	return out, nil
}

// pick copies the listed operations, and what their paths say for all of them.
func pick(all object, list []byte) (object, error) {
	picked := object{}
	lines := bufio.NewScanner(bytes.NewReader(list))
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("want METHOD PATH: %q", line)
		}
		method, path := strings.ToLower(fields[0]), fields[1]
		from := child(all, path)
		if from[method] == nil {
			return nil, fmt.Errorf("the description has no %s", strings.TrimSpace(line))
		}
		to, ok := picked[path].(object)
		if !ok {
			to = object{}
			picked[path] = to
		}
		to[method] = from[method]
		if shared, ok := from["parameters"]; ok {
			to["parameters"] = shared
		}
	}
	return picked, lines.Err()
}

// reach collects the components that something refers to.
type reach struct {
	doc, components object
}

func (r reach) follow(v any) error {
	switch v := v.(type) {
	case object:
		if ref, ok := v["$ref"].(string); ok {
			if err := r.take(ref); err != nil {
				return err
			}
		}
		for _, e := range v {
			if err := r.follow(e); err != nil {
				return err
			}
		}
	case []any:
		for _, e := range v {
			if err := r.follow(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r reach) take(ref string) error {
	parts := strings.Split(ref, "/")
	if len(parts) != 4 || parts[0] != "#" || parts[1] != "components" {
		return fmt.Errorf("reference %q is not #/components/GROUP/NAME", ref)
	}
	group, name := parts[2], parts[3]
	target, ok := child(child(r.doc, "components"), group)[name]
	if !ok {
		return fmt.Errorf("reference %q leads nowhere", ref)
	}
	if _, ok := r.components[group]; !ok {
		r.components[group] = object{}
	}
	taken := r.components[group].(object)
	if _, ok := taken[name]; ok {
		return nil
	}
	target = strip(target, false)
	taken[name] = target
	return r.follow(target)
}

// strip leaves out texts, examples, links and vendor extensions. names says that the keys are
// names, of properties for instance, and not words of OpenAPI.
func strip(v any, names bool) any {
	switch v := v.(type) {
	case object:
		out := object{}
		for key, e := range v {
			if !names && unwanted(key, e) {
				continue
			}
			out[key] = strip(e, !names && slices.Contains([]string{"properties", "responses", "headers", "content", "patternProperties"}, key))
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = strip(e, false)
		}
		return out
	}
	return v
}

// unwanted: a response must have a description, so short ones stay.
func unwanted(key string, v any) bool {
	switch key {
	case "example", "examples", "links", "tags":
		return true
	case "description":
		text, ok := v.(string)
		return ok && len(text) > 40
	}
	return strings.HasPrefix(key, "x-")
}

func child(o object, key string) object {
	c, _ := o[key].(object)
	return c
}
