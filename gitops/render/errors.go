package render

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// FailError is the chart's own refusal of the values: a template called fail
// or required.
type FailError struct {
	// Message is the chart's.
	Message string
	// Template is file:line:column in the chart.
	Template string
}

func (e *FailError) Error() string {
	return fmt.Sprintf("the chart refuses these values: %s (%s)", e.Message, e.Template)
}

// SchemaError says that the values do not fit the chart's schema.
type SchemaError struct {
	// Problems are the schema's messages, one for each value.
	Problems []string
}

func (e *SchemaError) Error() string {
	return "the values do not fit the chart's schema: " + strings.Join(e.Problems, "; ")
}

var failure = regexp.MustCompile(`(?s)^execution error at \(([^)]+)\): (.*)$`)

// explain turns the engine's errors into those of this package.
func explain(err error) error {
	if m := failure.FindStringSubmatch(err.Error()); m != nil {
		return &FailError{Template: m[1], Message: strings.TrimSpace(m[2])}
	}
	return fmt.Errorf("render the chart: %w", err)
}

const schemaPrefix = "values don't meet the specifications of the schema(s)"

func explainValues(err error) error {
	if !strings.HasPrefix(err.Error(), schemaPrefix) {
		return fmt.Errorf("compose the chart's values: %w", err)
	}
	var e SchemaError
	lines := strings.Split(err.Error(), "\n")
	for _, l := range lines[1:] {
		l = strings.TrimPrefix(strings.TrimSpace(l), "- ")
		if l != "" && !strings.HasSuffix(l, ":") && !strings.HasSuffix(l, ": validation failed") {
			e.Problems = append(e.Problems, l)
		}
	}
	// The validator goes through maps: it lists the same in another order each time.
	slices.Sort(e.Problems)
	return &e
}

// IsRefusal reports whether an error is the chart's own verdict on the values,
// rather than a failure to render.
func IsRefusal(err error) bool {
	var f *FailError
	var s *SchemaError
	return errors.As(err, &f) || errors.As(err, &s)
}
