package render

import (
	"bytes"
	"errors"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// schema is a chart's values.schema.json, compiled once: Helm compiles it for
// every render, which takes as long as the render itself.
type schema struct {
	compile func() (*jsonschema.Schema, error)
}

// noLoader refuses references out of the schema: none is fetched or opened.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, errors.New("the schema refers to " + url)
}

func newSchema(c *chart.Chart) *schema {
	return &schema{compile: sync.OnceValues(func() (*jsonschema.Schema, error) {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(c.Schema))
		if err != nil {
			return nil, err
		}
		compiler := jsonschema.NewCompiler()
		compiler.UseLoader(noLoader{})
		if err := compiler.AddResource("values.schema.json", doc); err != nil {
			return nil, err
		}
		return compiler.Compile("values.schema.json")
	})}
}

// accepts reports whether the values fit. Anything else than a clear yes is
// left to Helm, which then says what does not.
func (c *Chart) accepts(values map[string]any) bool {
	if len(c.chart.Dependencies()) > 0 {
		return false
	}
	if len(c.chart.Schema) == 0 {
		return true
	}
	s, err := c.schema.compile()
	if err != nil {
		return false
	}
	merged, err := util.CoalesceValues(c.chart, values)
	return err == nil && s.Validate(merged.AsMap()) == nil
}
