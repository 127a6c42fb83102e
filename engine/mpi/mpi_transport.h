/* mpi_transport.h - what libbnexp_mpi.so exports: sums over the ranks that mpirun started. */
#ifndef BN_ENGINE_MPI_MPI_TRANSPORT_H
#define BN_ENGINE_MPI_MPI_TRANSPORT_H

#include "engine/transport.h"

/* Initialises MPI. BN_EINVAL: another ABI, or MPI numbers the ranks otherwise; BN_EIO, BN_ENOMEM.
 */
__attribute__((visibility("default"))) bn_transport_open bn_mpi_transport;

#endif
