package render

import (
	"errors"
	"reflect"
	"testing"
)

// Helm lists what does not fit in the order of Go's maps, and a value's parents
// with it, of which it says nothing.
func TestSchemaProblemsAreInOrder(t *testing.T) {
	head := schemaPrefix + " in the following chart(s):\ncilium:\n"
	want := []string{"at '/hubble/ui/replicas': got string, want integer", "at '/operator/replicas': got string, want integer"}
	for _, lines := range []string{
		"- at '/operator/replicas': got string, want integer\n- at '/hubble': validation failed\n  - at '/hubble/ui/replicas': got string, want integer\n",
		"- at '/hubble': validation failed\n  - at '/hubble/ui/replicas': got string, want integer\n- at '/operator/replicas': got string, want integer\n",
	} {
		var e *SchemaError
		if err := explainValues(errors.New(head + lines)); !errors.As(err, &e) || !reflect.DeepEqual(e.Problems, want) {
			t.Errorf("%v", err)
		}
	}
}
