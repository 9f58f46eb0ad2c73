// All kernels, as one module.
#include "elementwise.cu"
#include "rows.cu"
#include "rms_norm.cu"
#include "rope.cu"
#include "attention.cu"
#include "log_prob.cu"
#include "decode.cu"
