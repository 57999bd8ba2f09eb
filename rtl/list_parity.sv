// SPDX-License-Identifier: Apache-2.0
// Whether a bit of a filter word is flipped (T4): a rule's two parity bits show an odd number of flips among its even
// or its odd bits, and so any two neighbours; amazon-dns stands there twice. Combinational.
module list_parity (
    input  logic                            valid,
    input  logic [offload::FilterWidth-1:0] word,
    output logic                            faulty
);
    // Kept, so that each is one LUT for a bit.
    (* keep *) logic [32*map::Rules-1:0] low, high;
    logic [31:0] left;
    logic [15:0] folded;
    logic [1:0] odd;

    always_comb begin
        low    = 'x;
        high   = 'x;
        left   = 'x;
        folded = 'x;
        odd    = '0;
        faulty = 1'b0;
        if (valid) begin
            for (int i = 0; i < map::Rules; i++) begin
                low[32*i +: 32]  = word[offload::fields_at(i) +: 32] ^ word[offload::fields_at(i)+32 +: 32] ^
                                   word[offload::fields_at(i)+64 +: 32] ^ word[offload::fields_at(i)+96 +: 32] ^
                                   word[offload::fields_at(i)+128 +: 32] ^ word[offload::fields_at(i)+160 +: 32];
                high[32*i +: 32] = word[offload::fields_at(i)+192 +: 32] ^ word[offload::fields_at(i)+224 +: 32] ^
                                   word[offload::fields_at(i)+256 +: 32] ^ word[offload::fields_at(i)+288 +: 32] ^
                                   word[offload::fields_at(i)+320 +: 32] ^ word[offload::fields_at(i)+352 +: 32];
                left = low[32*i +: 32] ^ high[32*i +: 32] ^ {16'd0, word[offload::marks_at(i) +: 16]};
                folded = left[31:16] ^ left[15:0];
                folded = folded ^ folded >> 8;
                folded = folded ^ folded >> 4;
                folded = folded ^ folded >> 2;
                odd    = odd | folded[1:0];
            end
            faulty = odd != '0 || word[offload::ListWidth] != word[offload::ListWidth+1];
        end
    end
endmodule
