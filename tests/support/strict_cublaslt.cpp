/* The strict twin of cuBLASLt: products as the library defines them, column-major, by whatever
 * descriptors, layouts and preferences it was given, and no product that the documentation of
 * cublasLtMatmul does not have: its tables of types, the rules for int8 tensor cores ("TN", leading
 * dimensions), pointers as aligned as the heuristic was promised, a workspace of 256 bytes'
 * alignment on the device, scalars where the pointer mode says.
 */
#include <cstdint>
#include <cstring>
#include <cublasLt.h>

#include "support/strict_stream.h"

struct cublasLtContext {
    int dummy;
};

namespace
{
const char call[] = "cublasLtMatmul";

struct product {
    cublasComputeType_t compute;
    cudaDataType_t scale;
    int32_t pointers, left, right;
};

struct layout {
    cudaDataType_t type;
    uint64_t rows, cols;
    int64_t ld;
};

struct preference {
    uint64_t workspace_bytes;
    uint32_t alignments[4]; /* A, B, C, D */
    uint32_t reductions;
};

/* What the heuristic chose for: kept inside of cublasLtMatmulAlgo_t. */
struct choice {
    uint64_t number, workspace_bytes;
    uint32_t alignments[4], reductions;
};
static_assert(sizeof(choice) <= sizeof(cublasLtMatmulAlgo_t));

template <class Inner, class Opaque> Inner &in(Opaque *outer)
{
    static_assert(sizeof(Inner) <= sizeof *outer);
    return *reinterpret_cast<Inner *>(outer);
}

template <class Inner, class Opaque> const Inner &in(const Opaque *outer)
{
    return *reinterpret_cast<const Inner *>(outer);
}

size_t size_of(cudaDataType_t type)
{
    switch (type) {
    case CUDA_R_8I:
        return 1;
    case CUDA_R_16F:
    case CUDA_R_16BF:
        return 2;
    default:
        return 4;
    }
}

bool is_half(cudaDataType_t type)
{
    return type == CUDA_R_16F || type == CUDA_R_16BF;
}

/* The rows of the documentation's tables that have a place here. */
bool exists(const product &p, cudaDataType_t in_type, cudaDataType_t out_type)
{
    if (in_type == CUDA_R_8I) {
        return p.compute == CUBLAS_COMPUTE_32I && p.scale == CUDA_R_32I && out_type == CUDA_R_32I;
    }
    if (p.compute != CUBLAS_COMPUTE_32F || p.scale != CUDA_R_32F) return false;
    if (in_type == CUDA_R_32F) return out_type == CUDA_R_32F;
    return is_half(in_type) && (out_type == in_type || out_type == CUDA_R_32F);
}

struct shape {
    uint64_t m, n, k;
};

shape shape_of(const product &p, const layout &a, const layout &b, const layout &d)
{
    bool left = p.left == CUBLAS_OP_T, right = p.right == CUBLAS_OP_T;
    shape s = {left ? a.cols : a.rows, right ? b.rows : b.cols, left ? a.rows : a.cols};
    bool fits = (right ? b.cols : b.rows) == s.k && d.rows == s.m && d.cols == s.n;
    if (!fits) strict_fault(call, "of matrices that do not fit each other");
    return s;
}

void check_layouts(const product &p, const layout &a, const layout &b, const layout &d)
{
    shape s = shape_of(p, a, b, d);
    if (s.m == 0 || s.n == 0 || s.k == 0) strict_fault(call, "of an empty matrix");
    for (const layout *each : {&a, &b, &d}) {
        if (each->ld < static_cast<int64_t>(each->rows)) strict_fault(call, "rows over the stride");
    }
    if (a.type != b.type || !exists(p, a.type, d.type)) strict_fault(call, "of types it lacks");
    if (a.type != CUDA_R_8I) return;
    bool tn = p.left == CUBLAS_OP_T && p.right == CUBLAS_OP_N;
    bool fours = a.ld % 4 == 0 && b.ld % 4 == 0 && d.ld % 4 == 0 && s.m % 4 == 0 && s.k % 4 == 0;
    if (!tn || !fours) strict_fault(call, "of codes that no tensor core takes");
}

void check_place(const void *memory, const layout &l, uint32_t alignment)
{
    size_t bytes = (static_cast<size_t>(l.ld) * (l.cols - 1) + l.rows) * size_of(l.type);
    if (!strict_on_card(memory, bytes)) strict_fault(call, "beyond the device's memory");
    if (alignment < size_of(l.type)) strict_fault(call, "of elements across their own alignment");
    if (reinterpret_cast<uintptr_t>(memory) % alignment != 0) {
        strict_fault(call, "of a matrix that is aligned worse than the heuristic was told");
    }
}

double value_at(const void *data, uint64_t i, cudaDataType_t type)
{
    uint32_t bits;
    float wide;
    switch (type) {
    case CUDA_R_8I:
        return static_cast<const int8_t *>(data)[i];
    case CUDA_R_16F:
        return static_cast<double>(static_cast<const _Float16 *>(data)[i]);
    case CUDA_R_16BF:
        bits = static_cast<uint32_t>(static_cast<const uint16_t *>(data)[i]) << 16;
        memcpy(&wide, &bits, sizeof wide);
        return static_cast<double>(wide);
    case CUDA_R_32I:
        return static_cast<const int32_t *>(data)[i];
    default:
        return static_cast<double>(static_cast<const float *>(data)[i]);
    }
}

uint16_t bf16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value) return static_cast<uint16_t>(bits >> 16 | 0x40);
    return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

void put(void *data, uint64_t i, cudaDataType_t type, double value)
{
    float rounded = static_cast<float>(value);
    switch (type) {
    case CUDA_R_32I:
        static_cast<int32_t *>(data)[i] = static_cast<int32_t>(value);
        break;
    case CUDA_R_16F:
        static_cast<_Float16 *>(data)[i] = static_cast<_Float16>(rounded);
        break;
    case CUDA_R_16BF:
        static_cast<uint16_t *>(data)[i] = bf16_of(rounded);
        break;
    default:
        static_cast<float *>(data)[i] = rounded;
    }
}

struct matmul {
    product p;
    layout a, b, d;
    const void *left, *right, *add, *alpha, *beta;
    void *out;
    double host_alpha, host_beta;
};

uint64_t place_of(const layout &l, bool across, uint64_t row, uint64_t column)
{
    uint64_t ld = static_cast<uint64_t>(l.ld);
    return across ? row * ld + column : column * ld + row;
}

void multiply(const matmul &w)
{
    shape s = shape_of(w.p, w.a, w.b, w.d);
    bool device = w.p.pointers == CUBLASLT_POINTER_MODE_DEVICE;
    double alpha = device ? value_at(w.alpha, 0, w.p.scale) : w.host_alpha;
    double beta = device ? value_at(w.beta, 0, w.p.scale) : w.host_beta;
    for (uint64_t column = 0; column < s.n; column++) {
        for (uint64_t row = 0; row < s.m; row++) {
            double sum = 0;
            for (uint64_t k = 0; k < s.k; k++) {
                sum +=
                    value_at(w.left, place_of(w.a, w.p.left == CUBLAS_OP_T, row, k), w.a.type) *
                    value_at(w.right, place_of(w.b, w.p.right == CUBLAS_OP_T, k, column), w.b.type);
            }
            uint64_t at = place_of(w.d, false, row, column);
            double value = alpha * static_cast<double>(static_cast<float>(sum));
            if (w.p.compute == CUBLAS_COMPUTE_32I) value = alpha * sum;
            if (beta != 0) value += beta * value_at(w.add, at, w.d.type);
            put(w.out, at, w.d.type, value);
        }
    }
}

/* Codes take no scalars but 0 and 1. */
void check_scalars(const matmul &w)
{
    bool device = w.p.pointers == CUBLASLT_POINTER_MODE_DEVICE;
    for (const void *scalar : {w.alpha, w.beta}) {
        bool there = strict_on_card(scalar, 4);
        if (device != there) strict_fault(call, "whose scalars lie on the other side");
    }
    bool plain = w.host_alpha == 1 && (w.host_beta == 0 || w.host_beta == 1);
    if (w.p.scale == CUDA_R_32I && (device || !plain)) strict_fault(call, "of codes with scalars");
}
} // namespace

const char *cublasLtGetStatusString(cublasStatus_t)
{
    return "a failure of cublasLt";
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *out)
{
    *out = reinterpret_cast<cublasLtHandle_t>(new cublasLtContext());
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    delete reinterpret_cast<cublasLtContext *>(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    *out = new cublasLtMatmulDescOpaque_t();
    in<product>(*out) = {compute, scale, CUBLASLT_POINTER_MODE_HOST, CUBLAS_OP_N, CUBLAS_OP_N};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    delete desc;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t which,
                                              const void *value, size_t bytes)
{
    product &p = in<product>(desc);
    int32_t *place = which == CUBLASLT_MATMUL_DESC_POINTER_MODE ? &p.pointers
                     : which == CUBLASLT_MATMUL_DESC_TRANSA     ? &p.left
                     : which == CUBLASLT_MATMUL_DESC_TRANSB     ? &p.right
                                                                : nullptr;
    if (!place || bytes != sizeof *place) strict_fault("an attribute of a product", "is unknown");
    memcpy(place, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType_t type,
                                          uint64_t rows, uint64_t cols, int64_t ld)
{
    *out = new cublasLtMatrixLayoutOpaque_t();
    in<layout>(*out) = {type, rows, cols, ld};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t desc)
{
    delete desc;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    *out = new cublasLtMatmulPreferenceOpaque_t();
    in<preference>(*out) = {0, {256, 256, 256, 256}, CUBLASLT_REDUCTION_SCHEME_MASK};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t outer,
                                                    cublasLtMatmulPreferenceAttributes_t which,
                                                    const void *value, size_t bytes)
{
    preference &p = in<preference>(outer);
    int alignment = static_cast<int>(which) - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
    if (which == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES && bytes == sizeof p.workspace_bytes) {
        memcpy(&p.workspace_bytes, value, bytes);
    } else if (which == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK &&
               bytes == sizeof p.reductions) {
        memcpy(&p.reductions, value, bytes);
    } else if (alignment >= 0 && alignment < 4 && bytes == sizeof p.alignments[0]) {
        memcpy(&p.alignments[alignment], value, bytes);
    } else {
        strict_fault("an attribute of a preference", "is unknown");
    }
    return CUBLAS_STATUS_SUCCESS;
}

/* All that the answer depends on; the same for the same question. */
static uint64_t number_of(const product &p, const layout &a, const layout &b, const layout &d)
{
    uint64_t number = 14695981039346656037U;
    const uint64_t facts[] = {static_cast<uint64_t>(p.compute),
                              static_cast<uint64_t>(p.scale),
                              static_cast<uint64_t>(p.pointers),
                              static_cast<uint64_t>(p.left),
                              static_cast<uint64_t>(p.right),
                              static_cast<uint64_t>(a.type),
                              static_cast<uint64_t>(d.type),
                              a.rows,
                              a.cols,
                              b.rows,
                              b.cols,
                              static_cast<uint64_t>(a.ld),
                              static_cast<uint64_t>(b.ld),
                              static_cast<uint64_t>(d.ld)};
    for (uint64_t fact : facts) number = (number ^ fact) * 1099511628211U;
    return number;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t left,
                                              cublasLtMatrixLayout_t right,
                                              cublasLtMatrixLayout_t add,
                                              cublasLtMatrixLayout_t out,
                                              cublasLtMatmulPreference_t preferred, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *found)
{
    const layout &a = in<layout>(left), &b = in<layout>(right), &d = in<layout>(out);
    const preference &p = in<preference>(preferred);
    if (wanted < 1 || add != out) strict_fault("a heuristic", "is asked for no result");
    check_layouts(in<product>(desc), a, b, d);
    bool rounds = is_half(d.type) && (p.reductions & ~CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE) != 0;
    if (rounds) strict_fault("a heuristic", "may round parts of a sum to 16 bits");
    choice c = {number_of(in<product>(desc), a, b, d), p.workspace_bytes, {}, p.reductions};
    memcpy(c.alignments, p.alignments, sizeof c.alignments);
    memset(results, 0, sizeof *results);
    in<choice>(&results->algo) = c;
    results->workspaceSize = p.workspace_bytes;
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *left, cublasLtMatrixLayout_t left_layout,
                              const void *right, cublasLtMatrixLayout_t right_layout,
                              const void *beta, const void *add, cublasLtMatrixLayout_t add_layout,
                              void *out, cublasLtMatrixLayout_t out_layout,
                              const cublasLtMatmulAlgo_t *algorithm, void *workspace, size_t bytes,
                              cudaStream_t)
{
    matmul w = {in<product>(desc),
                in<layout>(left_layout),
                in<layout>(right_layout),
                in<layout>(out_layout),
                left,
                right,
                add,
                alpha,
                beta,
                out,
                0,
                0};
    const choice &c = in<choice>(algorithm);
    check_layouts(w.p, w.a, w.b, w.d);
    if (add_layout != out_layout) strict_fault(call, "whose C and D are laid out apart");
    if (c.number != number_of(w.p, w.a, w.b, w.d)) strict_fault(call, "by another's algorithm");
    check_place(left, w.a, c.alignments[0]);
    check_place(right, w.b, c.alignments[1]);
    check_place(add, w.d, c.alignments[2]);
    check_place(out, w.d, c.alignments[3]);
    bool room = bytes >= c.workspace_bytes && strict_on_card(workspace, c.workspace_bytes);
    if (!room || reinterpret_cast<uintptr_t>(workspace) % 256 != 0) {
        strict_fault(call, "with a workspace that is too small, or not aligned to 256 bytes");
    }
    if (w.p.pointers == CUBLASLT_POINTER_MODE_HOST) {
        w.host_alpha = value_at(alpha, 0, w.p.scale);
        w.host_beta = value_at(beta, 0, w.p.scale);
    }
    check_scalars(w);
    strict_submit([=] { multiply(w); });
    return CUBLAS_STATUS_SUCCESS;
}
