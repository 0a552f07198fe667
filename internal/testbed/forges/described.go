package forges

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// object is a JSON object.
type object = map[string]any

// description is a published OpenAPI description that requests and answers are
// held to.
type description struct {
	doc    *openapi3.T
	router routers.Router
	// common is the schema of errors that any operation may answer; see anywhere.
	common *openapi3.SchemaRef
}

// describe reads a description. slashes maps paths as they are in it to those
// that the router takes, where a variable may hold slashes. common names the
// schema of errors that any operation may answer without saying so.
func describe(raw []byte, slashes map[string]string, common string) (*description, error) {
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, err
	}
	doc.Servers = nil
	for from, to := range slashes {
		item := doc.Paths.Value(from)
		if item == nil {
			return nil, fmt.Errorf("the description has no path %s", from)
		}
		doc.Paths.Delete(from)
		doc.Paths.Set(to, item)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, err
	}
	return &description{doc, router, doc.Components.Schemas[common]}, nil
}

// exchange is a request that the description knows.
type exchange struct {
	// operation is "METHOD /path/{with}/names".
	operation string
	vars      map[string]string
	query     url.Values
	body      []byte

	held  *description
	input *openapi3filter.RequestValidationInput
}

// request finds the operation and says what of the request it does not allow:
// its values, and names that it does not have. The body is read already.
func (d *description) request(r *http.Request, path *url.URL, body []byte) (*exchange, error) {
	clone := r.Clone(r.Context())
	clone.URL, clone.Body = path, http.NoBody
	if len(body) > 0 {
		clone.Body = nopCloser(body)
	}
	route, vars, err := d.router.FindRoute(clone)
	if err != nil {
		return nil, err
	}
	decoded := map[string]string{}
	for name, v := range vars {
		if decoded[name], err = url.PathUnescape(v); err != nil {
			return nil, err
		}
	}
	// Clients write null for no body; servers take it so.
	if item := route.Operation.RequestBody; item != nil && !item.Value.Required && string(bytes.TrimSpace(body)) == "null" {
		body, clone.Body = nil, http.NoBody
	}
	x := &exchange{
		operation: r.Method + " " + slashless(route.Path), vars: decoded, query: path.Query(), body: body, held: d,
		input: &openapi3filter.RequestValidationInput{
			Request: clone, PathParams: decoded, Route: route, QueryParams: path.Query(),
			Options: options(),
		},
	}
	return x, errors.Join(openapi3filter.ValidateRequest(r.Context(), x.input), x.unknownNames())
}

func options() *openapi3filter.Options {
	o := &openapi3filter.Options{
		AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
		IncludeResponseStatus: true, SkipSettingDefaults: true,
	}
	o.WithCustomSchemaErrorFunc(func(err *openapi3.SchemaError) string {
		return fmt.Sprintf("%s: %s", "/"+strings.Join(err.JSONPointer(), "/"), err.Reason)
	})
	return o
}

// slashless is a path without what makes a variable take slashes.
func slashless(path string) string {
	return strings.ReplaceAll(path, ":.+}", "}")
}

// unknownNames complains about what OpenAPI lets pass and a server ignores:
// query parameters and fields that do not exist.
func (x *exchange) unknownNames() error {
	var errs []error
	op := x.input.Route.Operation
	params := append(slices.Clone(op.Parameters), x.input.Route.PathItem.Parameters...)
	for name := range x.query {
		if params.GetByInAndName("query", strings.TrimSuffix(name, "[]")) == nil && params.GetByInAndName("query", name) == nil {
			errs = append(errs, fmt.Errorf("query parameter %q does not exist", name))
		}
	}
	if op.RequestBody == nil {
		if len(x.body) > 0 {
			errs = append(errs, errors.New("a body where none belongs"))
		}
		return errors.Join(errs...)
	}
	var fields object
	if json.Unmarshal(x.body, &fields) != nil {
		return errors.Join(errs...)
	}
	media := op.RequestBody.Value.Content.Get("application/json")
	if media == nil {
		return errors.Join(errs...)
	}
	known := properties(media.Schema)
	for name := range fields {
		if len(known) > 0 && !slices.Contains(known, name) {
			errs = append(errs, fmt.Errorf("field %q does not exist", name))
		}
	}
	return errors.Join(errs...)
}

// properties are the names that a schema, or one of its alternatives, knows.
func properties(s *openapi3.SchemaRef) []string {
	names := slices.Collect(maps.Keys(s.Value.Properties))
	for _, list := range []openapi3.SchemaRefs{s.Value.AllOf, s.Value.AnyOf, s.Value.OneOf} {
		for _, e := range list {
			names = append(names, properties(e)...)
		}
	}
	return names
}

// answer makes the body of an answer: what the description requires and the
// server did not say is added with empty values. It says what the description
// does not allow.
func (x *exchange) answer(status int, header http.Header, body any) ([]byte, error) {
	if body == nil {
		return nil, x.check(status, header, nil)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, err
	}
	if s := x.schema(status); s != nil {
		v = fill(s, v)
	}
	if raw, err = json.Marshal(v); err != nil {
		return nil, err
	}
	return raw, x.check(status, header, raw)
}

// schema of an answer's JSON; nil when there is none.
func (x *exchange) schema(status int) *openapi3.SchemaRef {
	resp := x.input.Route.Operation.Responses.Status(status)
	if resp == nil {
		if anywhere(status) {
			return x.held.common
		}
		return nil
	}
	if media := resp.Value.Content.Get("application/json"); media != nil {
		return media.Schema
	}
	return nil
}

// anywhere lists the statuses that GitHub's and GitLab's guides describe for all
// operations and the descriptions name for few: no or bad credentials, too few
// rights, nothing there, moved, rate limits, server errors.
func anywhere(status int) bool {
	return slices.Contains([]int{301, 302, 307, 401, 403, 404, 429}, status) || status >= 500
}

func (x *exchange) check(status int, header http.Header, raw []byte) error {
	if x.input.Route.Operation.Responses.Status(status) == nil && anywhere(status) && x.held.common != nil {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return err
		}
		return x.held.common.Value.VisitJSON(v)
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: x.input, Status: status, Header: header, Options: x.input.Options,
	}
	in.SetBodyBytes(raw)
	err := openapi3filter.ValidateResponse(context.Background(), in)
	// Some errors are described by alternatives that overlap, so that none fits one alone.
	if status >= 400 && errors.Is(err, openapi3.ErrOneOfConflict) {
		return nil
	}
	return err
}

// fill adds required properties that are missing.
func fill(ref *openapi3.SchemaRef, v any) any {
	s := ref.Value
	for _, part := range s.AllOf {
		v = fill(part, v)
	}
	for _, list := range []openapi3.SchemaRefs{s.AnyOf, s.OneOf} {
		for _, option := range list {
			if full := fill(option, clone(v)); s.VisitJSON(full) == nil {
				return full
			}
		}
	}
	switch v := v.(type) {
	case object:
		for _, name := range s.Required {
			if _, ok := v[name]; !ok && s.Properties[name] != nil {
				v[name] = empty(s.Properties[name])
			}
		}
		for name, e := range v {
			if p := s.Properties[name]; p != nil {
				v[name] = fill(p, e)
			}
		}
	case []any:
		if s.Items != nil {
			for i := range v {
				v[i] = fill(s.Items, v[i])
			}
		}
	}
	return v
}

// empty is the value that says least.
func empty(ref *openapi3.SchemaRef) any {
	s := ref.Value
	switch {
	case s.Nullable:
		return nil
	case len(s.Enum) > 0:
		return s.Enum[0]
	case len(s.AllOf) > 0, s.Type.Is("object"):
		return fill(ref, object{})
	case len(s.AnyOf) > 0:
		return empty(s.AnyOf[0])
	case len(s.OneOf) > 0:
		return empty(s.OneOf[0])
	case s.Type.Is("array"):
		return []any{}
	case s.Type.Is("integer"), s.Type.Is("number"):
		return 0.0
	case s.Type.Is("boolean"):
		return false
	case s.Format == "date-time":
		return "2020-01-01T00:00:00Z"
	}
	return ""
}

// clone copies JSON.
func clone(v any) any {
	switch v := v.(type) {
	case object:
		out := make(object, len(v))
		for name, e := range v {
			out[name] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	}
	return v
}

type byteBody struct{ *bytes.Reader }

func (byteBody) Close() error { return nil }

func nopCloser(b []byte) byteBody { return byteBody{bytes.NewReader(b)} }
