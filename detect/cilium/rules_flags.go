package cilium

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"
)

// flagRules come first: the ConfigMap's values must have the flags' types.
var flagRules = []Rule{{
	ID: "V49", Kind: KindAgent, stage: stageFlags,
	Title:   "A value has the wrong type",
	Message: "Incorrect config-map flag value: option …: …",
	Source:  "pkg/option/config.go:3584-3652 and :3682 (1.18.6)",
	check:   wrongTypes,
}, {
	ID: "V50", Kind: KindAgent, stage: stageFlags,
	Title:   "The command line has an unknown flag, or a value of the wrong type",
	Message: "Error: unknown flag: --…",
	Source:  "spf13/pflag; daemon/cmd/root.go:107 (1.18.6); the ConfigMap's unknown keys are ignored",
}}

// wrongTypes looks at exact keys only: the agent applies keys in any case and
// validates only what it finds by its flag's exact name.
func wrongTypes(a *agent) verdict {
	keys := make([]string, 0, len(a.cfg.Values))
	for k := range a.cfg.Values {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var v verdict
	for _, k := range keys {
		if err := typeError(a.rel, k, strings.TrimSpace(a.cfg.Values[k])); err != nil {
			v.messages = append(v.messages, fmt.Sprintf("Incorrect config-map flag value: option %s: %s", k, err))
		}
	}
	return v
}

// typeError is what the agent says of a value that its flag cannot take; nil
// when it can, or when the release has no such flag.
func typeError(rel release, key, value string) error {
	for _, t := range typedFlags()[key] {
		if t.in(rel) {
			return t.parse(value)
		}
	}
	return nil
}

// parse follows github.com/spf13/cast v1.9.2: basic.go:52, number.go:404-438,
// time.go:86.
func (t typedFlag) parse(value string) error {
	var err error
	switch t.kind {
	case "bool":
		_, err = strconv.ParseBool(value)
		return err
	case "duration":
		if !strings.ContainsAny(value, "nsuµmh") {
			value += "ns"
		}
		_, err = time.ParseDuration(value)
		return err
	case "string", "list", "map", "options":
		return nil
	case "float":
		if value != "" {
			_, err = strconv.ParseFloat(value, 64)
		}
	case "int", "int64":
		_, err = parseInt(value)
	default:
		if value != "" {
			_, err = strconv.ParseUint(strings.TrimLeft(cutDecimals(value), "+"), 0, 0)
		}
	}
	if err != nil {
		return fmt.Errorf("unable to cast %q of type string to %s: %w", value, t.goType(), err)
	}
	return nil
}

func (t typedFlag) goType() string {
	if t.kind == "float" {
		return "float64"
	}
	return t.kind
}

// CheckArg checks one argument of the agent's command line, "--name=value" or
// "--name": unlike keys of the ConfigMap, unknown flags end the process there.
func CheckArg(version, arg string) (Refusal, bool) {
	rel := modelled(version)
	name, value, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	r := Refusal{ID: "V50", Keys: []string{name}, Source: flagRules[1].Source}
	for _, t := range typedFlags()[name] {
		if !t.in(rel) {
			continue
		}
		if err := t.parse(value); hasValue && err != nil {
			var num *strconv.NumError
			if errors.As(err, &num) {
				err = num
			}
			r.Message = fmt.Sprintf("Error: invalid argument %q for \"--%s\" flag: %s", value, name, err)
			return r, true
		}
		return Refusal{}, false
	}
	if !strings.HasPrefix(arg, "--") {
		return Refusal{}, false
	}
	r.Message = "Error: unknown flag: --" + name
	return r, true
}
