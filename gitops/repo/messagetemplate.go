package repo

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"text/template"
	"text/template/parse"
	"unicode"

	"github.com/Masterminds/sprig/v3"
)

// maxValue bounds what one function gives, in bytes, so that a few doublings of
// a text do not fill the memory.
const maxValue = 4 << 10

// templateFuncs are sprig's functions on strings, and Go's own. Those that read
// the environment, the clock, the network or chance are not among them, nor
// those that make much out of little.
func templateFuncs() template.FuncMap {
	all, out := sprig.HermeticTxtFuncMap(), template.FuncMap{}
	for name := range strings.FieldsSeq(`
		trim trimAll trimSuffix trimPrefix upper lower title untitle substr nospace trunc abbrev abbrevboth initials
		contains hasPrefix hasSuffix quote squote cat replace snakecase camelcase kebabcase swapcase
		regexMatch regexFind regexReplaceAll regexReplaceAllLiteral
		default empty coalesce ternary splitList split join sortAlpha first last rest has
		toString int int64 float64 add sub mul div mod max min len
		b64enc b64dec sha1sum sha256sum adler32sum base dir ext clean`) {
		if f, ok := all[name]; ok {
			out[name] = limited(name, f)
		}
	}
	for name, f := range map[string]any{
		"print": fmt.Sprint, "println": fmt.Sprintln, "printf": narrow,
		"html": func(args ...any) string { return html.EscapeString(fmt.Sprint(args...)) },
		"js":   template.JSEscaper, "urlquery": func(args ...any) string { return url.QueryEscape(fmt.Sprint(args...)) },
	} {
		out[name] = limited(name, f)
	}
	return out
}

// wide is a width or a precision of printf that makes much out of little.
var wide = regexp.MustCompile(`%[^a-zA-Z%]*(\*|[0-9]{4,})`)

func narrow(format string, args ...any) (string, error) {
	if wide.MatchString(format) {
		return "", errors.New("a width of printf has at most three digits")
	}
	return fmt.Sprintf(format, args...), nil
}

// limited is f with an error for a long text.
func limited(name string, f any) any {
	fn := reflect.ValueOf(f)
	ft := fn.Type()
	in := make([]reflect.Type, ft.NumIn())
	for i := range in {
		in[i] = ft.In(i)
	}
	failure := reflect.TypeFor[error]()
	out := []reflect.Type{ft.Out(0), failure}
	return reflect.MakeFunc(reflect.FuncOf(in, out, ft.IsVariadic()), func(args []reflect.Value) []reflect.Value {
		call := fn.Call
		if ft.IsVariadic() {
			call = fn.CallSlice
		}
		got := call(args)
		err := reflect.Zero(failure)
		switch {
		case len(got) > 1:
			err = got[1]
		case got[0].Kind() == reflect.String && got[0].Len() > maxValue:
			err = reflect.ValueOf(fmt.Errorf("%s gives a text of %d bytes, more than %d", name, got[0].Len(), maxValue))
		}
		return []reflect.Value{got[0], err}
	}).Interface()
}

// templateData is a struct of Values and the fields of data.
func templateData(values map[string]string, data any) (any, error) {
	fields := []reflect.StructField{{Name: "Values", Type: reflect.TypeFor[map[string]string]()}}
	contents := []reflect.Value{reflect.ValueOf(foldMap(values))}
	v := reflect.Indirect(reflect.ValueOf(data))
	switch {
	case data == nil || !v.IsValid():
	case v.Kind() == reflect.Struct:
		for _, f := range reflect.VisibleFields(v.Type()) {
			if f.IsExported() && !f.Anonymous && len(f.Index) == 1 && f.Name != "Values" {
				fields = append(fields, reflect.StructField{Name: f.Name, Type: f.Type})
				contents = append(contents, folded(v.FieldByIndex(f.Index)))
			}
		}
	default:
		return nil, fmt.Errorf("the data of the template is a %s and must be a struct", v.Kind())
	}
	out := reflect.New(reflect.StructOf(fields)).Elem()
	for i, c := range contents {
		out.Field(i).Set(c)
	}
	return out.Interface(), nil
}

func foldMap(values map[string]string) map[string]string {
	out := make(map[string]string, len(values))
	for k, v := range values {
		out[k] = oneLine(v, maxMessage)
	}
	return out
}

// folded copies a value with its strings on one line each.
func folded(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	switch {
	case v.Kind() == reflect.String:
		out.SetString(oneLine(v.String(), maxMessage))
	case v.Kind() == reflect.Slice && !v.IsNil():
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(folded(v.Index(i)))
		}
	case v.Kind() == reflect.Map && !v.IsNil():
		out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for _, k := range v.MapKeys() {
			out.SetMapIndex(k, folded(v.MapIndex(k)))
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if out.Field(i).CanSet() {
				out.Field(i).Set(folded(v.Field(i)))
			}
		}
	case v.Kind() == reflect.Pointer && !v.IsNil(), v.Kind() == reflect.Interface && !v.IsNil():
		inner := folded(v.Elem())
		if v.Kind() == reflect.Interface {
			out.Set(inner)
			break
		}
		out.Set(reflect.New(v.Type().Elem()))
		out.Elem().Set(inner)
	}
	return out
}

// countSteps puts an empty text before every action of the template, so that
// each step writes and can be counted: Go's templates have no other brake.
func countSteps(t *template.Template) {
	for _, part := range t.Templates() {
		if part.Tree != nil {
			countIn(part.Root)
		}
	}
}

func countIn(list *parse.ListNode) {
	if list == nil {
		return
	}
	var nodes []parse.Node
	for _, n := range append([]parse.Node{nil}, list.Nodes...) {
		// One at the start, for loops without any action.
		nodes = append(nodes, &parse.TextNode{NodeType: parse.NodeText})
		if n != nil {
			nodes = append(nodes, n)
		}
		switch n := n.(type) {
		case *parse.RangeNode:
			countIn(n.List)
			countIn(n.ElseList)
		case *parse.IfNode:
			countIn(n.List)
			countIn(n.ElseList)
		case *parse.WithNode:
			countIn(n.List)
			countIn(n.ElseList)
		}
	}
	list.Nodes = nodes
}

// bounded takes so many bytes in so many steps.
type bounded struct {
	bytes.Buffer
	steps int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.steps++; b.steps > maxSteps {
		return 0, fmt.Errorf("the template does not come to an end within %d steps", maxSteps)
	}
	if b.Len()+len(p) > maxMessage {
		return 0, fmt.Errorf("the template gives more than %d bytes", maxMessage)
	}
	return b.Buffer.Write(p)
}

// dropControls takes control and direction characters out.
func dropControls(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.Is(unicode.Cf, c) || c == '\u2028' || c == '\u2029' || c == unicode.ReplacementChar {
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, ""))
}
