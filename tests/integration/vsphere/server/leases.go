package main

import (
	"fmt"
	"log"
	"path"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// Lease is an HttpNfcLease (vSphere Web Services API Reference): its disks can be had while it is ready, and it ends by
// itself when nobody tells of progress within its time.
type Lease struct {
	mo.HttpNfcLease
	lock    sync.Mutex
	imports bool
	disks   map[string]*Disk // by the last part of the URL
	limit   time.Duration
	renewed time.Time
	ended   chan struct{}
	prepare func() fault // before it is ready
	task    reference    // as long as it is open
}

// Disk is one of a machine, or another file of its lease. capacity in bytes.
type Disk struct {
	Name     string `json:"name"`
	File     string `json:"file"`
	Capacity int64  `json:"capacity"`
	sent     *types.HttpNfcLeaseManifestEntry
	isDisk   bool
	stored   bool
}

func (s *StandIn) leaseCalls() {
	s.calls["ImportVApp"] = func(body interface{}) (interface{}, fault) { return s.imported(body.(*types.ImportVApp)) }
	s.calls["CreateImportSpec"] = func(body interface{}) (interface{}, fault) {
		return s.specOf(body.(*types.CreateImportSpec))
	}
	s.calls["ExportVm"] = func(body interface{}) (interface{}, fault) { return s.exported(body.(*types.ExportVm).This) }
	s.calls["HttpNfcLeaseProgress"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.HttpNfcLeaseProgress)
		return &types.HttpNfcLeaseProgressResponse{}, leaseOf(req.This).renew(req.Percent)
	}
	s.calls["HttpNfcLeaseComplete"] = func(body interface{}) (interface{}, fault) {
		return &types.HttpNfcLeaseCompleteResponse{}, s.complete(leaseOf(body.(*types.HttpNfcLeaseComplete).This))
	}
	s.calls["HttpNfcLeaseAbort"] = func(body interface{}) (interface{}, fault) {
		req := body.(*types.HttpNfcLeaseAbort)
		why := req.Fault
		if why == nil {
			why = &types.LocalizedMethodFault{Fault: &types.RequestCanceled{}, LocalizedMessage: "aborted"}
		}
		return &types.HttpNfcLeaseAbortResponse{}, s.fail(leaseOf(req.This), why)
	}
	s.calls["HttpNfcLeaseGetManifest"] = func(body interface{}) (interface{}, fault) {
		return leaseOf(body.(*types.HttpNfcLeaseGetManifest).This).manifest()
	}
	s.calls["CreateDescriptor"] = func(body interface{}) (interface{}, fault) {
		return described(body.(*types.CreateDescriptor))
	}
}

func leaseOf(ref reference) *Lease {
	lease, _ := simulator.Map.Get(ref).(*Lease)
	return lease
}

// lease begins one, and what makes it ready or lets it run out.
func (s *StandIn) lease(entity reference, disks []*Disk, imports bool, prepare func() fault) *Lease {
	settings := s.settings()
	s.lock.Lock()
	defer s.lock.Unlock()
	s.count++
	made := &Lease{imports: imports, disks: map[string]*Disk{}, ended: make(chan struct{}), prepare: prepare}
	made.Self = reference{Type: "HttpNfcLease", Value: fmt.Sprintf("session-lease-%d", s.count)}
	made.limit, made.State = seconds(settings.LeaseTimeout), types.HttpNfcLeaseStateInitializing
	made.Info = &types.HttpNfcLeaseInfo{Lease: made.Self, Entity: entity, LeaseTimeout: int32(settings.LeaseTimeout)}
	places := placesOf(machine(entity).Config.Hardware.Device)
	for number, disk := range disks {
		last := path.Base(disk.Name)
		made.disks[last] = disk
		place := fmt.Sprintf("file:%d", number)
		if disk.isDisk && number < len(places) {
			place = places[number]
		} else if strings.HasSuffix(last, ".nvram") {
			place = "nvram"
		}
		url := types.HttpNfcLeaseDeviceUrl{
			Key: fmt.Sprintf("/%s/%s", entity.Value, place), Disk: types.NewBool(disk.isDisk), TargetId: last,
			Url: fmt.Sprintf("https://*%s%s/%s", diskPrefix, made.Self.Value, last),
		}
		if imports {
			url.ImportKey = disk.Name
		} else {
			url.FileSize = disk.Capacity / 4
		}
		made.Info.DeviceUrl = append(made.Info.DeviceUrl, url)
		made.Info.TotalDiskCapacityInKB += disk.Capacity >> 10
	}
	task := simulator.CreateTask(entity, "transfer", nil)
	update(task.Self, set("info.state", types.TaskInfoStateRunning))
	made.task = task.Self
	s.leases[entity] = made
	simulator.Map.Put(made)
	go s.keepsOpen(made, settings)
	return made
}

// placesOf are those of the disks, such as ParaVirtualSCSIController0:1.
func placesOf(devices object.VirtualDeviceList) []string {
	made := []string{}
	for _, device := range devices.SelectByType((*types.VirtualDisk)(nil)) {
		own := device.GetVirtualDevice()
		controller, ok := devices.FindByKey(own.ControllerKey).(types.BaseVirtualController)
		if ok && own.UnitNumber != nil {
			kind := reflect.TypeOf(controller).Elem().Name()
			made = append(made, fmt.Sprintf("%s%d:%d", kind, controller.GetVirtualController().BusNumber, *own.UnitNumber))
		}
	}
	return made
}

// keepsOpen makes it ready, and ends it where nobody renews it.
func (s *StandIn) keepsOpen(lease *Lease, settings Settings) {
	time.Sleep(seconds(settings.LeaseInitializing))
	if settings.LeaseError != "" {
		why := &types.SystemError{Reason: settings.LeaseError}
		_ = s.fail(lease, &types.LocalizedMethodFault{Fault: why, LocalizedMessage: settings.LeaseError})
		return
	}
	if wrong := lease.prepare(); wrong != nil {
		_ = s.fail(lease, &types.LocalizedMethodFault{Fault: wrong, LocalizedMessage: "the disks cannot be read"})
		return
	}
	if lease.end(types.HttpNfcLeaseStateInitializing, types.HttpNfcLeaseStateReady, nil) != nil {
		return
	}
	for {
		select {
		case <-lease.ended:
			return
		case <-time.After(100 * time.Millisecond):
		}
		lease.lock.Lock()
		late := time.Since(lease.renewed) > lease.limit
		lease.lock.Unlock()
		if late {
			why := &types.LocalizedMethodFault{Fault: &types.Timedout{}, LocalizedMessage: "The lease has timed out."}
			_ = s.fail(lease, why)
			return
		}
	}
}

// end changes the state, or refuses where it is another than expected.
func (l *Lease) end(from, to types.HttpNfcLeaseState, why *types.LocalizedMethodFault) fault {
	if l == nil {
		return &types.ManagedObjectNotFound{}
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.State != from {
		if l.Error != nil {
			return l.Error.Fault
		}
		return &types.InvalidState{}
	}
	l.renewed = time.Now()
	if to != types.HttpNfcLeaseStateReady {
		close(l.ended)
	}
	changes := []types.PropertyChange{set("state", to)}
	if why != nil {
		changes = append(changes, set("error", *why))
	}
	update(l.Self, changes...)
	return nil
}

func (l *Lease) renew(percent int32) fault {
	if l == nil {
		return &types.ManagedObjectNotFound{}
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	switch {
	case l.Error != nil:
		return l.Error.Fault
	case l.State != types.HttpNfcLeaseStateReady:
		return &types.InvalidState{}
	case percent < 0 || percent > 100:
		return &types.InvalidArgument{InvalidProperty: "percent"}
	}
	l.renewed = time.Now()
	update(l.Self, set("transferProgress", percent))
	return nil
}

func (l *Lease) isReady() bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.State == types.HttpNfcLeaseStateReady
}

func (s *StandIn) complete(lease *Lease) fault {
	if lease != nil && lease.imports {
		disks := []Disk{}
		for _, url := range lease.Info.DeviceUrl {
			if disk := lease.disks[url.TargetId]; !disk.stored {
				return &types.InvalidState{}
			} else if disk.isDisk {
				disks = append(disks, *disk)
			}
		}
		if wrong := s.ground.order("import", words{"vm": lease.Info.Entity.Value, "disks": disks}, nil); wrong != nil {
			return wrong
		}
		s.keep(lease.Info.Entity, disks)
	}
	wrong := lease.end(types.HttpNfcLeaseStateReady, types.HttpNfcLeaseStateDone, nil)
	if wrong == nil {
		s.forget(lease)
	}
	return wrong
}

func (s *StandIn) keep(ref reference, disks []Disk) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.disks[ref] = disks
}

// fail ends a lease; a machine that was to be imported by it goes away.
func (s *StandIn) fail(lease *Lease, why *types.LocalizedMethodFault) fault {
	if lease == nil {
		return &types.ManagedObjectNotFound{}
	}
	from := types.HttpNfcLeaseStateReady
	if !lease.isReady() {
		from = types.HttpNfcLeaseStateInitializing
	}
	if wrong := lease.end(from, types.HttpNfcLeaseStateError, why); wrong != nil {
		return wrong
	}
	s.forget(lease)
	if lease.imports {
		_, err := methods.Destroy_Task(nowhere, s.service, &types.Destroy_Task{This: lease.Info.Entity})
		return asFault(err)
	}
	return nil
}

func (s *StandIn) forget(lease *Lease) {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.leases, lease.Info.Entity)
	simulator.Map.Remove(lease.task)
}

// busy tells of an open lease, during which its machine stands still.
func (s *StandIn) busy(ref reference) fault {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.leases[ref] != nil {
		return &types.TaskInProgress{Task: s.leases[ref].task}
	}
	return nil
}

var efi = regexp.MustCompile(`vmw:key="firmware" vmw:value="efi"`)

var sata = regexp.MustCompile(`(ResourceSubType>)vmware\.sata\.ahci(<[^>]*>\s*<[^>]*ResourceType>)20<`)

// specOf is what the simulator makes of a descriptor, which does not look for the firmware there, and knows no SATA.
func (s *StandIn) specOf(req *types.CreateImportSpec) (interface{}, fault) {
	hasSATA := sata.MatchString(req.OvfDescriptor)
	req.OvfDescriptor = sata.ReplaceAllString(req.OvfDescriptor, "${1}lsilogic${2}6<")
	res, err := methods.CreateImportSpec(nowhere, s.service, req)
	if err != nil {
		return nil, asFault(err)
	}
	spec, ok := res.Returnval.ImportSpec.(*types.VirtualMachineImportSpec)
	if ok && efi.MatchString(req.OvfDescriptor) {
		spec.ConfigSpec.Firmware = string(types.GuestOsDescriptorFirmwareTypeEfi)
	}
	for _, change := range spec.ConfigSpec.DeviceChange {
		one := change.GetVirtualDeviceConfigSpec()
		if scsi, ok := one.Device.(*types.VirtualLsiLogicController); ok && hasSATA {
			one.Device = &types.VirtualAHCIController{VirtualSATAController: types.VirtualSATAController{
				VirtualController: scsi.VirtualController,
			}}
		}
	}
	return res, nil
}

func (s *StandIn) imported(req *types.ImportVApp) (interface{}, fault) {
	spec, ok := req.Spec.(*types.VirtualMachineImportSpec)
	if !ok || req.Folder == nil {
		return nil, &types.InvalidArgument{InvalidProperty: "spec"}
	}
	config := spec.ConfigSpec
	made, wrong := s.created(&types.CreateVM_Task{This: *req.Folder, Config: config, Pool: req.This, Host: req.Host})
	if wrong != nil {
		return nil, wrong
	}
	disks := []*Disk{}
	devices := object.VirtualDeviceList(machine(made).Config.Hardware.Device)
	count := map[string]int{}
	for _, device := range devices {
		backing, ok := device.GetVirtualDevice().Backing.(types.BaseVirtualDeviceFileBackingInfo)
		if !ok || backing.GetVirtualDeviceFileBackingInfo().FileName == "" {
			continue
		}
		kind := devices.Type(device)
		name := fmt.Sprintf("/%s/%s:%d", config.Name, kind, count[kind])
		count[kind]++
		one := &Disk{Name: name, File: s.newFile()}
		if disk, ok := device.(*types.VirtualDisk); ok {
			one.isDisk, one.Capacity = true, disk.CapacityInKB<<10
		}
		disks = append(disks, one)
	}
	return &types.ImportVAppResponse{Returnval: s.lease(made, disks, true, func() fault { return nil }).Self}, nil
}

func (s *StandIn) exported(ref reference) (interface{}, fault) {
	vm := machine(ref)
	if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff {
		return nil, &types.InvalidPowerState{RequestedState: "poweredOff", ExistingState: vm.Runtime.PowerState}
	}
	if wrong := s.busy(ref); wrong != nil {
		return nil, wrong
	}
	found := s.disksOf(ref)
	if len(found) == 0 {
		log.Printf("%s has no disks that were uploaded", vm.Name)
		return nil, &types.FileFault{File: vm.Config.Files.VmPathName}
	}
	for range placesOf(vm.Config.Hardware.Device)[len(found):] {
		found = append(found, Disk{File: s.newFile()}) // one that was added is written by `written`
	}
	disks := []*Disk{}
	for number := range found {
		disk := found[number]
		disk.Name, disk.isDisk, disk.stored = fmt.Sprintf("disk-%d.vmdk", number), true, true
		disks = append(disks, &disk)
	}
	settings := s.settings()
	if settings.Nvram || vm.Config.Firmware == string(types.GuestOsDescriptorFirmwareTypeEfi) {
		disks = append(disks, &Disk{Name: vm.Name + ".nvram", File: s.nvram(settings)})
	}
	prepare := func() fault { return s.written(ref, disks) }
	return &types.ExportVmResponse{Returnval: s.lease(ref, disks, false, prepare).Self}, nil
}

// written are the disks as they are now, where something real stands behind the machine.
func (s *StandIn) written(ref reference, disks []*Disk) fault {
	var found struct{ Files []string }
	if wrong := s.ground.order("export", words{"vm": ref.Value}, &found); wrong != nil {
		return wrong
	}
	for number, file := range found.Files {
		disks[number].File = file
	}
	return nil
}

func (s *StandIn) disksOf(ref reference) []Disk {
	s.lock.Lock()
	defer s.lock.Unlock()
	return append([]Disk{}, s.disks[ref]...)
}

func (l *Lease) manifest() (interface{}, fault) {
	if l == nil {
		return nil, &types.ManagedObjectNotFound{}
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.State != types.HttpNfcLeaseStateReady {
		return nil, &types.InvalidState{}
	}
	made := &types.HttpNfcLeaseGetManifestResponse{}
	for _, url := range l.Info.DeviceUrl {
		if entry := l.disks[url.TargetId].sent; entry != nil {
			entry.Key = url.Key
			made.Returnval = append(made.Returnval, *entry)
		}
	}
	return made, nil
}
