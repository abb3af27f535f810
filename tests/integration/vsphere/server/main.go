// A vSphere API to test against: govmomi's simulator of a vCenter or an ESXi, behind TLS on a free port. It prints its
// URL, keeps what it is asked and the names and sizes of uploaded files in its log, and ends when its standard input
// does.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Machine is that of the name ending in _VM0. It has tasks that the simulator's own machines lack: one that never ends,
// and one that fails after a while.
type Machine struct {
	*simulator.VirtualMachine
}

// Get is what the property collector reads.
func (m *Machine) Get() mo.Reference {
	return m.VirtualMachine
}

// ResetVMTask never ends.
func (m *Machine) ResetVMTask(req *types.ResetVM_Task) soap.HasFault {
	task := simulator.CreateTask(m.Self, "reset", nil)
	simulator.Map.Update(task, []types.PropertyChange{{Name: "info.state", Val: types.TaskInfoStateRunning}})
	return &methods.ResetVM_TaskBody{Res: &types.ResetVM_TaskResponse{Returnval: task.Self}}
}

// SuspendVMTask tells of its progress, and then that the disk is full.
func (m *Machine) SuspendVMTask(req *types.SuspendVM_Task) soap.HasFault {
	task := simulator.CreateTask(m.Self, "suspend", nil)
	go func() {
		for _, percent := range []int32{10, 40, 90} {
			simulator.Map.Update(task, []types.PropertyChange{
				{Name: "info.state", Val: types.TaskInfoStateRunning}, {Name: "info.progress", Val: percent},
			})
			time.Sleep(400 * time.Millisecond)
		}
		fault := types.NoDiskSpace{FileFault: types.FileFault{File: "[LocalDS_0] lab/lab.vmss"}, Datastore: "LocalDS_0"}
		simulator.Map.Update(task, []types.PropertyChange{
			{Name: "info.state", Val: types.TaskInfoStateError},
			{Name: "info.error", Val: types.LocalizedMethodFault{Fault: &fault, LocalizedMessage: "No space left"}},
		})
	}()
	return &methods.SuspendVM_TaskBody{Res: &types.SuspendVM_TaskResponse{Returnval: task.Self}}
}

// Authorization tells that some privileges are not granted.
type Authorization struct {
	*simulator.AuthorizationManager
	refused []string
}

func (m *Authorization) HasPrivilegeOnEntities(req *types.HasPrivilegeOnEntities) soap.HasFault {
	body := m.AuthorizationManager.HasPrivilegeOnEntities(req).(*methods.HasPrivilegeOnEntitiesBody)
	for i := range body.Res.Returnval {
		for j := range body.Res.Returnval[i].PrivAvailability {
			told := &body.Res.Returnval[i].PrivAvailability[j]
			for _, name := range m.refused {
				told.IsGranted = told.IsGranted && told.PrivId != name
			}
		}
	}
	return body
}

// Silent is an AuthorizationManager of a server that is too old to tell.
type Silent struct {
	mo.AuthorizationManager
}

// most is how many objects a Collector gives in one answer.
var most = flag.Int("most", 0, "objects in one answer; 0 for all")

// Collector gives what it found in parts, as servers do. Each session has one, which begins empty.
type Collector struct {
	simulator.PropertyCollector
	rest []types.ObjectContent
}

func (c *Collector) RetrievePropertiesEx(ctx *simulator.Context, req *types.RetrievePropertiesEx) soap.HasFault {
	answer := c.PropertyCollector.RetrievePropertiesEx(ctx, req)
	body := answer.(*methods.RetrievePropertiesExBody)
	if body.Res != nil && body.Res.Returnval != nil {
		c.rest = body.Res.Returnval.Objects
		part := c.part()
		body.Res.Returnval = &part
	}
	return body
}

func (c *Collector) ContinueRetrievePropertiesEx(req *types.ContinueRetrievePropertiesEx) soap.HasFault {
	return &methods.ContinueRetrievePropertiesExBody{
		Res: &types.ContinueRetrievePropertiesExResponse{Returnval: c.part()},
	}
}

func (c *Collector) part() types.RetrieveResult {
	if len(c.rest) <= *most {
		return types.RetrieveResult{Objects: c.rest}
	}
	part := types.RetrieveResult{Objects: c.rest[:*most], Token: "more"}
	c.rest = c.rest[*most:]
	return part
}

func main() {
	log.SetFlags(0)
	esx := flag.Bool("esx", false, "an ESXi, not a vCenter")
	machines := flag.Int("machines", 0, "how many there are")
	datacenters := flag.Int("datacenters", 1, "how many a vCenter has")
	listen := flag.String("listen", "127.0.0.1", "address")
	certificate := flag.String("certificate", "", "PEM file of certificate and key; the library's own by default")
	user := flag.String("user", "user", "who may log in; the password is $SIMULATOR_PASSWORD, else pass")
	refused := flag.String("refused", "", "privileges that nobody has, with commas")
	silent := flag.Bool("silent", false, "does not tell of privileges")
	large := flag.Bool("large", false, "with a cluster of hosts, and one of datastores; see storage.go")
	api := flag.String("api", "", "the version of its API; it has /api then, too")
	trace := flag.Bool("trace", false, "log all that is said")
	settings := flag.String("settings", "", "file of a stand-in's settings, for what the simulator lacks")
	ground := flag.String("ground", "", "socket of what stands behind the guests")
	flag.Parse()
	password := os.Getenv("SIMULATOR_PASSWORD")
	if password == "" {
		password = "pass"
	}

	model := simulator.VPX()
	model.Cluster, model.ClusterHost, model.Host, model.Datacenter = 0, 0, 1, *datacenters
	if *large {
		enlarge(model)
	}
	if *esx {
		model = simulator.ESX()
	}
	model.Machine = *machines
	defer model.Remove()
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	extend(*refused, *silent)
	if *large {
		furnish()
	}
	model.Service.RegisterEndpoints = true
	model.Service.Listen = &url.URL{Host: *listen + ":0", User: url.UserPassword(*user, password)}
	model.Service.TLS = new(tls.Config)
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *certificate)
		if err != nil {
			log.Fatal(err)
		}
		model.Service.TLS.Certificates = []tls.Certificate{pair}
	}
	simulator.Trace = *trace
	server := model.Service.NewServer()
	defer server.Close()
	if *settings != "" {
		folder, err := os.MkdirTemp(filepath.Dir(*settings), "disks-")
		if err != nil {
			log.Fatal(err)
		}
		server.Config.Handler = NewStandIn(server.Config.Handler, model.Service, *settings, folder, *ground, *esx)
	}
	if *api != "" {
		setVersion(*api)
		server.Config.Handler = &API{server.Config.Handler}
	}
	fmt.Println(server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func extend(refused string, silent bool) {
	content := simulator.Map.Get(types.ManagedObjectReference{Type: "ServiceInstance", Value: "ServiceInstance"})
	about := content.(*simulator.ServiceInstance).Content
	for _, entity := range simulator.Map.All("VirtualMachine") {
		if vm := entity.(*simulator.VirtualMachine); strings.HasSuffix(vm.Name, "_VM0") {
			simulator.Map.Put(&Machine{vm})
		}
	}
	if about.AuthorizationManager != nil {
		own, ok := simulator.Map.Get(*about.AuthorizationManager).(*simulator.AuthorizationManager)
		if ok && refused != "" {
			simulator.Map.Put(&Authorization{own, strings.Split(refused, ",")})
		}
		if silent {
			quiet := new(Silent)
			quiet.Self = *about.AuthorizationManager
			simulator.Map.Put(quiet)
		}
	}
	if *most > 0 {
		own := new(Collector)
		own.Self = about.PropertyCollector
		simulator.Map.Put(own)
	}
}
