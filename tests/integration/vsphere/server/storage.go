package main

import (
	"fmt"
	"log"

	pbmmethods "github.com/vmware/govmomi/pbm/methods"
	pbm "github.com/vmware/govmomi/pbm/simulator"
	pbmtypes "github.com/vmware/govmomi/pbm/types"
	"github.com/vmware/govmomi/simulator"
	_ "github.com/vmware/govmomi/vapi/simulator" // content libraries, below /rest
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// enlarge adds to a vCenter's one host a cluster DC0_C0 of two: DC0_C0_H0 and DC0_C0_H1.
func enlarge(model *simulator.Model) {
	model.Cluster, model.ClusterHost, model.Datastore, model.Pod = 1, 2, 4, 1
}

// furnish puts LocalDS_0 and LocalDS_1 into the cluster of datastores DC0_POD0. Each datastore is freer than the one
// before. LocalDS_2 is reached by DC0_C0_H0 alone; LocalDS_3 is in maintenance.
func furnish() {
	var pod *simulator.StoragePod
	for _, entity := range simulator.Map.All("StoragePod") {
		pod = entity.(*simulator.StoragePod)
	}
	every, only := []types.DatastoreHostMount{}, []types.DatastoreHostMount{}
	for _, entity := range simulator.Map.All("HostSystem") {
		mount := types.DatastoreHostMount{Key: entity.Reference(), MountInfo: types.HostMountInfo{AccessMode: "readWrite"}}
		every = append(every, mount)
		if entity.(*simulator.HostSystem).Name == "DC0_C0_H0" {
			only = append(only, mount)
		}
	}
	members := []reference{}
	for _, entity := range simulator.Map.All("Datastore") {
		store := entity.(*simulator.Datastore)
		var number int64
		if _, err := fmt.Sscanf(store.Name, "LocalDS_%d", &number); err != nil {
			log.Fatal(err)
		}
		store.Summary.Capacity, store.Summary.FreeSpace, store.Host = 1<<40, (number+1)<<33, every
		switch number {
		case 0, 1:
			members = append(members, store.Self)
		case 2:
			store.Host = only
		case 3:
			store.Summary.MaintenanceMode = string(types.DatastoreSummaryMaintenanceModeStateInMaintenance)
		}
	}
	pod.MoveIntoFolderTask(&simulator.Context{Map: simulator.Map}, &types.MoveIntoFolder_Task{This: pod.Self, List: members})
}

// Solver finds that LocalDS_1 fits no policy but the one that demands nothing.
type Solver struct {
	*pbm.PlacementSolver
}

const demandsNothing = "f4e5bade-15a2-4805-bf8e-52318c4ce443"

func (s *Solver) PbmCheckRequirements(req *pbmtypes.PbmCheckRequirements) soap.HasFault {
	wanted := ""
	for _, each := range req.PlacementSubjectRequirement {
		if profile, ok := each.(*pbmtypes.PbmPlacementCapabilityProfileRequirement); ok {
			wanted = profile.ProfileId.UniqueId
		}
	}
	made := []pbmtypes.PbmPlacementCompatibilityResult{}
	for _, hub := range req.HubsToSearch {
		result := pbmtypes.PbmPlacementCompatibilityResult{Hub: hub}
		store, ok := simulator.Map.Get(reference{Type: hub.HubType, Value: hub.HubId}).(*simulator.Datastore)
		if !ok || (store.Name == "LocalDS_1" && wanted != demandsNothing) {
			result.Error = []types.LocalizedMethodFault{{Fault: &types.NotSupported{}, LocalizedMessage: "no such capability"}}
		}
		made = append(made, result)
	}
	return &pbmmethods.PbmCheckRequirementsBody{Res: &pbmtypes.PbmCheckRequirementsResponse{Returnval: made}}
}

// The simulator's own service of policies is at /pbm; this one, at the address of the API's guide, has the Solver.
func init() {
	simulator.RegisterEndpoint(func(s *simulator.Service, r *simulator.Registry) {
		if !r.IsVPX() {
			return
		}
		own := pbm.New()
		own.Path += "/sdk"
		ref := reference{Type: "PbmPlacementSolver", Value: "placementSolver"}
		own.Put(&Solver{own.Get(ref).(*pbm.PlacementSolver)})
		s.RegisterSDK(own)
	})
}
