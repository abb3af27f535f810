// What the simulator lacks or does too leniently, answered before it is asked: leases and their disks, linked clones,
// power with a guest behind it, and guest operations. A fake of the vSphere Web Services API as its reference
// documents it. All else goes on to the simulator.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

// Settings are read anew whenever they matter. Seconds and bytes.
type Settings struct {
	LeaseTimeout      float64 `json:"lease_timeout"`
	LeaseInitializing float64 `json:"lease_initializing"`
	LeaseError        string  `json:"lease_error"`
	Ranges            bool    `json:"ranges"`
	Rate              int64   `json:"rate"`
	Stall             float64 `json:"stall"`
	CutAfter          int64   `json:"cut_after"`
	Cuts              int     `json:"cuts"`
	Failures          int     `json:"failures"`
	ToolsAfter        float64 `json:"tools_after"`
	Question          string  `json:"question"`
	Shutdown          bool    `json:"shutdown"`
	Address           string  `json:"address"`
	Nvram             bool    `json:"nvram"`
	NvramMark         string  `json:"nvram_mark"`
	NvramSize         int64   `json:"nvram_size"`
}

type fault = types.BaseMethodFault
type reference = types.ManagedObjectReference

// call answers one method; the answer is its response type.
type call func(body interface{}) (interface{}, fault)

// StandIn stands before the simulator.
type StandIn struct {
	inner   http.Handler
	service *simulator.Service
	file    string
	ground  *Ground
	folder  string
	esx     bool
	calls   map[string]call

	lock     sync.Mutex
	disks    map[reference][]Disk // of machines and of snapshots
	tools    map[reference]int    // counts power changes; see powered
	leases   map[reference]*Lease // that are open, by machine
	tokens   map[string]transfer
	cuts     int
	failures int
	count    int
}

// NewStandIn reads its settings from a file. folder: of its own, for disks. ground: a socket's path, or nothing.
func NewStandIn(inner http.Handler, service *simulator.Service, file, folder, ground string, esx bool) *StandIn {
	s := &StandIn{inner: inner, service: service, file: file, folder: folder, esx: esx}
	if ground != "" {
		s.ground = NewGround(ground)
	}
	s.disks, s.tools = map[reference][]Disk{}, map[reference]int{}
	s.leases, s.tokens = map[reference]*Lease{}, map[string]transfer{}
	s.calls = map[string]call{}
	s.leaseCalls()
	s.machineCalls()
	s.guestCalls()
	return s
}

func (s *StandIn) settings() Settings {
	made := Settings{LeaseTimeout: 300, Shutdown: true, CutAfter: -1}
	text, err := os.ReadFile(s.file)
	if err == nil {
		err = json.Unmarshal(text, &made)
	}
	if err != nil {
		log.Fatal(err)
	}
	return made
}

func (s *StandIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, diskPrefix):
		s.serveDisk(w, r)
	case path == guestPath:
		s.serveGuestFile(w, r)
	case strings.HasPrefix(path, "/folder/") && s.refused(r) != nil:
		w.WriteHeader(http.StatusUnauthorized)
	case path == "/sdk" && r.Method == http.MethodPost:
		s.serveCall(w, r)
	default:
		s.inner.ServeHTTP(w, r)
	}
}

func (s *StandIn) serveCall(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	method, err := simulator.UnmarshalBody(types.TypeFunc(), body)
	if err != nil || !ours(method) || s.calls[method.Name] == nil {
		s.inner.ServeHTTP(w, r)
		return
	}
	if simulator.Trace {
		fmt.Fprintf(os.Stderr, "Request: %s\n", body)
	}
	if answer := s.refused(r); answer != nil {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write(answer)
		return
	}
	if simulator.Map.Get(method.This) == nil {
		write(w, nil, &types.ManagedObjectNotFound{Obj: method.This})
		return
	}
	res, wrong := s.calls[method.Name](method.Body)
	write(w, res, wrong)
}

// ours are those of no other kind of object.
func ours(method *simulator.Method) bool {
	switch method.Name {
	case "Destroy_Task", "Rename_Task":
		return method.This.Type == "VirtualMachine"
	}
	return true
}

// refused is what the simulator says to a request without a session; nil where it has one.
func (s *StandIn) refused(r *http.Request) []byte {
	question := `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><CurrentTime xmlns="urn:vim25">` +
		`<_this type="ServiceInstance">ServiceInstance</_this></CurrentTime></Body></Envelope>`
	asked := httptest.NewRequest(http.MethodPost, "/sdk", strings.NewReader(question))
	asked.Header["Cookie"] = r.Header["Cookie"]
	trace := simulator.Trace
	simulator.Trace = false
	answer := httptest.NewRecorder()
	s.inner.ServeHTTP(answer, asked)
	simulator.Trace = trace
	if answer.Code == http.StatusOK {
		return nil
	}
	return answer.Body.Bytes()
}

const (
	before = `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope` +
		` xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"` +
		` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>`
	after = `</soapenv:Body></soapenv:Envelope>`
)

// write sends an answer or a fault in SOAP 1.1, as a vCenter does.
func write(w http.ResponseWriter, res interface{}, wrong fault) {
	var out bytes.Buffer
	out.WriteString(before)
	encoder := xml.NewEncoder(&out)
	var err error
	if wrong == nil {
		start := xml.StartElement{Name: xml.Name{Space: "urn:vim25", Local: reflect.TypeOf(res).Elem().Name()}}
		err = encoder.EncodeElement(res, start)
	} else {
		kind := reflect.TypeOf(wrong).Elem().Name()
		out.WriteString("<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>" + kind)
		out.WriteString("</faultstring><detail>")
		start := xml.StartElement{Name: xml.Name{Local: kind + "Fault"}, Attr: []xml.Attr{
			{Name: xml.Name{Local: "xmlns"}, Value: "urn:vim25"}, {Name: xml.Name{Local: "xsi:type"}, Value: kind},
		}}
		err = encoder.EncodeElement(wrong, start)
	}
	if err == nil {
		err = encoder.Flush()
	}
	if err != nil {
		log.Printf("cannot write %T: %s", res, err)
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if wrong != nil {
		out.WriteString("</detail></soapenv:Fault>")
		w.WriteHeader(http.StatusInternalServerError)
	}
	out.WriteString(after)
	_, _ = w.Write(out.Bytes())
}

// machine is nil where there is none of it.
func machine(ref reference) *simulator.VirtualMachine {
	switch found := simulator.Map.Get(ref).(type) {
	case *simulator.VirtualMachine:
		return found
	case *Machine:
		return found.VirtualMachine
	}
	return nil
}

func update(obj reference, changes ...types.PropertyChange) {
	found := simulator.Map.Get(obj)
	if found != nil {
		simulator.Map.WithLock(found, func() { simulator.Map.Update(found, changes) })
	}
}

func set(name string, value interface{}) types.PropertyChange {
	return types.PropertyChange{Name: name, Val: value}
}

// begun runs the work of a task beside the client, and names the task.
func begun(entity reference, name string, work func() (types.AnyType, fault)) reference {
	task := simulator.CreateTask(entity, name, func(*simulator.Task) (types.AnyType, fault) { return work() })
	go task.Run()
	return task.Self
}

// asFault is that of a method which the simulator was asked for in this process.
func asFault(err error) fault {
	if err == nil {
		return nil
	}
	if soap.IsSoapFault(err) {
		if found, ok := soap.ToSoapFault(err).VimFault().(fault); ok {
			return found
		}
	}
	log.Printf("the simulator fails: %s", err)
	return &types.RuntimeFault{}
}

// result is that of a task which the simulator has ended before it named it.
func result(task reference) (types.AnyType, fault) {
	info := simulator.Map.Get(task).(*simulator.Task).Info
	if info.Error != nil {
		return nil, info.Error.Fault
	}
	return info.Result, nil
}

func seconds(number float64) time.Duration { return time.Duration(number * float64(time.Second)) }

var nowhere = context.Background()
