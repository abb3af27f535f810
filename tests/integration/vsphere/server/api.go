// The REST interface below /api, of a vCenter from 7.0 U2 on, as its reference documents it: the same services as below
// /rest, which the simulator has, with other paths, and contents that are no member of an object.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// API is what stands before a handler that knows /rest.
type API struct {
	inner http.Handler
}

// old is what /rest has for a question: its path, and the member that a content is; "" where there is none of it.
// status: of an answer that is good.
type old struct {
	path, member string
	status       int
}

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		a.inner.ServeHTTP(w, r)
		return
	}
	fmt.Fprintf(os.Stderr, "api %s %s\n", r.Method, r.URL.RequestURI())
	w.Header().Set("Content-Type", "application/json")
	known := translated(r.Method, strings.TrimPrefix(r.URL.Path, "/api"), r.URL.RawQuery)
	if known.path == "" {
		wrong(w, http.StatusNotFound, "NOT_FOUND")
		return
	}
	content, err := io.ReadAll(r.Body)
	if err == nil && known.member != "" {
		content, err = wrapped(content, known.member)
	}
	if err != nil {
		wrong(w, http.StatusBadRequest, "INVALID_ARGUMENT")
		return
	}
	asked := httptest.NewRequest(r.Method, "/rest"+known.path, bytes.NewReader(content))
	asked.Header = r.Header
	answer := httptest.NewRecorder()
	a.inner.ServeHTTP(answer, asked)
	var found struct{ Value json.RawMessage }
	switch {
	case answer.Code == http.StatusUnauthorized:
		wrong(w, answer.Code, "UNAUTHENTICATED")
	case answer.Code != http.StatusOK:
		wrong(w, answer.Code, "INVALID_ARGUMENT")
	case known.status == http.StatusNoContent:
		w.WriteHeader(known.status)
	default:
		_ = json.Unmarshal(answer.Body.Bytes(), &found)
		if found.Value == nil {
			found.Value = []byte("[]")
		}
		w.WriteHeader(known.status)
		_, _ = w.Write(found.Value)
	}
}

func translated(method, path, query string) old {
	const list, item = "/content/library", "/content/library/item"
	const templates = "/vcenter/vm-template/library-items"
	switch method + " " + path + "?" + query {
	case "POST /session?":
		return old{"/com/vmware/cis/session", "", http.StatusCreated}
	case "DELETE /session?":
		return old{"/com/vmware/cis/session", "", http.StatusNoContent}
	case "GET " + list + "?":
		return old{"/com/vmware" + list, "", http.StatusOK}
	case "POST " + list + "?action=find", "POST " + item + "?action=find":
		return old{"/com/vmware" + path + "?~action=find", "spec", http.StatusOK}
	case "POST " + templates + "?":
		return old{templates, "spec", http.StatusCreated}
	case "POST /content/local-library?", "POST " + item + "?":
		return old{"/com/vmware" + path, "create_spec", http.StatusCreated}
	case "GET " + item + "?" + query:
		return old{"/com/vmware" + item + "?" + query, "", http.StatusOK}
	}
	for _, kind := range []string{item + "/", list + "/"} {
		if id := strings.TrimPrefix(path, kind); method == "GET" && id != path && query == "" && !strings.Contains(id, ":") {
			return old{"/com/vmware" + kind + "id:" + id, "", http.StatusOK}
		}
	}
	return old{}
}

// wrapped is the content as a member of an object. One that is in such an object already is none of this interface.
func wrapped(content []byte, member string) ([]byte, error) {
	var spec map[string]json.RawMessage
	if err := json.Unmarshal(content, &spec); err != nil {
		return nil, err
	}
	if _, found := spec[member]; found {
		return nil, fmt.Errorf("%s is no property", member)
	}
	return json.Marshal(map[string]interface{}{member: spec})
}

// wrong is an error of the interface (Vapi Std Errors).
func wrong(w http.ResponseWriter, status int, kind string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]interface{}{
		"error_type": kind,
		"messages":   []map[string]interface{}{{"id": "sim", "default_message": "it is so", "args": []string{}}},
	})
}

// setVersion is what the server says of its API.
func setVersion(api string) {
	content := simulator.Map.Get(types.ManagedObjectReference{Type: "ServiceInstance", Value: "ServiceInstance"})
	content.(*simulator.ServiceInstance).Content.About.ApiVersion = api
}
